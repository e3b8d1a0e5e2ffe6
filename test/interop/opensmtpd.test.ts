/** OpenSMTPD, which relays to us. */
import { bothWays, TEXTS } from './both-ways.ts'
import { startOpenSmtpd } from './peers/opensmtpd.ts'

bothWays({
  name: 'OpenSMTPD',
  needs: { root: true, peers: ['opensmtpd'] },
  start: startOpenSmtpd,
  tls: true,
  // A line of 70,000 octets it refuses: "500 5.0.0 Line too long".
  relays: TEXTS.filter(kind => kind !== 'endless lines'),
})
