/** Exim, both ways. */
import { bothWays, TEXTS } from './both-ways.ts'
import { startExim } from './peers/exim.ts'

bothWays({
  name: 'Exim',
  needs: { root: true, peers: ['exim'] },
  start: startExim,
  tls: true,
  takes: TEXTS,
  relays: TEXTS,
  reports: true,
})
