/** Python's smtplib, which sends to us. */
import { run } from '../journeys/postern.ts'
import { TEXTS } from './both-ways.ts'
import { type Errand, testClient } from './clients.ts'

const SEND = `
import smtplib, ssl, sys
host, port, sender, to, file, by, authority, mechanism, user, password, *options = sys.argv[1:]
context = ssl.create_default_context(cafile=authority or None)
known = dict(local_hostname='smtplib.client.example')
with smtplib.SMTP_SSL(host, int(port), context=context, **known) if by == 'implicit' else smtplib.SMTP(host, int(port), **known) as server:
    if by == 'starttls':
        server.starttls(context=context)
    if mechanism:
        server.user, server.password = user, password
        server.ehlo()
        server.auth(mechanism, getattr(server, 'auth_' + mechanism.lower()))
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
  tls: ['starttls', 'implicit'],
  // Passwords outside ASCII it cannot say.
  logins: { PLAIN: 'ascii', LOGIN: 'ascii' },
  send: (errand, { body }) =>
    python(SEND, errand, [
      errand.tls?.by ?? '',
      errand.tls?.authority ?? '',
      errand.login?.by ?? '',
      errand.login?.user ?? '',
      errand.login?.password ?? '',
      ...(body === '8bitmime' ? ['BODY=8BITMIME'] : []),
    ]),
  attaches: errand => python(ATTACH, errand, [errand.token]),
})
