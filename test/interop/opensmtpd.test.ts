/** OpenSMTPD, which relays to us. */
import { bothWays, TEXTS } from './both-ways.ts'
import { NEEDS_ROOT } from './peers/jail.ts'
import { startOpenSmtpd } from './peers/opensmtpd.ts'

bothWays({ name: 'OpenSMTPD', skip: NEEDS_ROOT, start: startOpenSmtpd, relays: TEXTS })
