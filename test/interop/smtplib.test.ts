/** Python's smtplib, which sends to us. */
import { run } from '../journeys/postern.ts'
import { TEXTS } from './both-ways.ts'
import { type Errand, testClient } from './clients.ts'

const SEND = `
import smtplib, sys
host, port, sender, to, file, *options = sys.argv[1:]
with smtplib.SMTP(host, int(port), local_hostname='smtplib.client.example') as server:
    server.sendmail(sender, [to], open(file, 'rb').read(), mail_options=options)
`
const ATTACH = `
import smtplib, sys
from email.message import EmailMessage
host, port, sender, to, file, token = sys.argv[1:]
message = EmailMessage()
message['From'], message['To'], message['Subject'] = sender, to, token
message.add_attachment(open(file, 'rb').read(), maintype='application', subtype='octet-stream')
with smtplib.SMTP(host, int(port), local_hostname='smtplib.client.example') as server:
    server.send_message(message)
`

const python = (program: string, { host, port, from, to, file }: Errand, more: readonly string[]) =>
  run('python3', ['-c', program, host, String(port), from, to, file, ...more])

testClient({
  name: 'smtplib',
  needs: { commands: ['python3'] },
  sends: TEXTS,
  send: (errand, { body }) => python(SEND, errand, body === '8bitmime' ? ['BODY=8BITMIME'] : []),
  attaches: errand => python(ATTACH, errand, [errand.token]),
})
