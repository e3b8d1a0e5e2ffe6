/** Exim, both ways. */
import { bothWays, TEXTS } from './both-ways.ts'
import { startExim } from './peers/exim.ts'
import { NEEDS_ROOT } from './peers/jail.ts'

bothWays({ name: 'Exim', skip: NEEDS_ROOT, start: startExim, takes: TEXTS, relays: TEXTS })
