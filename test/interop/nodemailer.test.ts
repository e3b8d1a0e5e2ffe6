/** nodemailer, which sends to us. */
import { readFileSync } from 'node:fs'
import nodemailer from 'nodemailer'
import { TEXTS } from './both-ways.ts'
import { type Errand, testClient } from './clients.ts'

async function send({ host, port, from, to, tls, login }: Errand, message: object) {
  const secure = tls && { secure: tls.by === 'implicit', requireTLS: true, tls: { ca: readFileSync(tls.authority) } }
  const known = login && { auth: { user: login.user, pass: login.password }, authMethod: login.by }
  const where = { host, port, name: 'nodemailer.client.example', ...known }
  const transport = nodemailer.createTransport({ ...where, ...(secure ?? { ignoreTLS: true }) })
  try {
    const { response } = await transport.sendMail({ envelope: { from, to: [to] }, ...message })
    return { status: 0, out: response, err: '' }
  } catch (cause) {
    return { status: 1, out: '', err: String(cause) }
  } finally {
    transport.close()
  }
}

testClient({
  name: 'nodemailer',
  sends: TEXTS,
  tls: ['starttls', 'implicit'],
  logins: { PLAIN: 'utf8', LOGIN: 'utf8' },
  send: errand => send(errand, { raw: errand.content }),
  attaches: errand =>
    send(errand, {
      from: errand.from,
      to: errand.to,
      subject: errand.token,
      attachments: [{ filename: 'binary', content: errand.content }],
    }),
})
