/** npm's smtp-server, which takes our mail. */
import { bothWays, TEXTS } from './both-ways.ts'
import { startSmtpServer } from './peers/smtp-server.ts'

bothWays({ name: 'smtp-server', start: startSmtpServer, takes: TEXTS })
