/** Haraka, which takes our mail. */
import { bothWays, TEXTS } from './both-ways.ts'
import { startHaraka } from './peers/haraka.ts'

bothWays({ name: 'Haraka', needs: { peers: ['haraka'] }, start: startHaraka, tls: true, takes: TEXTS })
