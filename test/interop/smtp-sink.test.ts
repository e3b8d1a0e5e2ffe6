/** smtp-sink of Postfix, which takes our mail. */
import { bothWays, TEXTS } from './both-ways.ts'
import { startSmtpSink } from './peers/smtp-sink.ts'

bothWays({ name: 'smtp-sink', start: startSmtpSink, takes: TEXTS })
