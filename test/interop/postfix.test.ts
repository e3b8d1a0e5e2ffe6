/** Postfix, both ways. */
import { bothWays, TEXTS } from './both-ways.ts'
import { NEEDS_ROOT } from './peers/jail.ts'
import { startPostfix } from './peers/postfix.ts'

bothWays({ name: 'Postfix', skip: NEEDS_ROOT, start: startPostfix, takes: TEXTS, relays: TEXTS })
