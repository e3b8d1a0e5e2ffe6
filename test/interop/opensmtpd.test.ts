/** OpenSMTPD, which relays to us. */
import { bothWays, TEXTS } from './both-ways.ts'
import { startOpenSmtpd } from './peers/opensmtpd.ts'

bothWays({ name: 'OpenSMTPD', needs: { root: true, peers: ['opensmtpd'] }, start: startOpenSmtpd, relays: TEXTS })
