/** Postfix, both ways. */
import { bothWays, TEXTS } from './both-ways.ts'
import { startPostfix } from './peers/postfix.ts'

bothWays({
  name: 'Postfix',
  needs: { root: true, peers: ['postfix'] },
  start: startPostfix,
  tls: true,
  takes: TEXTS,
  relays: TEXTS,
  reports: true,
})
