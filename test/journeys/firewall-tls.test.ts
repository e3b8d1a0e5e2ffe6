/** TLS ends at a proxy: certificates by name, read again at a reload, and what is wrong with them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFileSync } from 'node:fs'
import net from 'node:net'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import tls from 'node:tls'
import { makeCertificates } from '../certificates.ts'
import { configuration, freePort, gateway, quoting, start } from './gateway.ts'
import { postern, Talk } from './postern.ts'

/** Who the proxy says it is, to a client that asks for this name behind STARTTLS. */
async function subjectFor(port: number, servername: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  const heard = async (): Promise<string> => String(((await once(socket, 'data')) as [Buffer])[0])
  await heard()
  socket.write('EHLO client.example\r\n')
  assert.match(await heard(), /STARTTLS/)
  socket.write('STARTTLS\r\n')
  assert.match(await heard(), /^220 /)
  const secure = tls.connect({ socket, servername, rejectUnauthorized: false })
  await once(secure, 'secureConnect')
  const { subject } = secure.getPeerCertificate()
  secure.write('EHLO client.example\r\n')
  const [told] = (await once(secure, 'data')) as [Buffer]
  assert.match(String(told), /^250/)
  assert.doesNotMatch(String(told), /STARTTLS/)
  secure.destroy()
  return String(subject.CN)
}

test('the certificate is that of the name asked for, else the one without a name; a reload reads it again', async t => {
  const [port, server] = [await freePort(), await quoting(t)]
  const lines = gateway(port, server.port).filter(line => !line.startsWith('fixup'))
  const file = configuration(t, [
    ...lines,
    `strict smtp ${port}`,
    'strict certificate any/server.pem key any/server.key',
    'strict certificate mx/server.pem key mx/server.key name mx.b.example',
  ])
  const folder = (name: string) => join(dirname(file), name)
  makeCertificates(folder('any'), ['any.b.example'])
  makeCertificates(folder('mx'), ['mx.b.example'])
  const { child, says } = await start(t, file)
  assert.equal(await subjectFor(port, 'mx.b.example'), 'mx.b.example')
  assert.equal(await subjectFor(port, 'other.example'), 'any.b.example')
  makeCertificates(folder('next'), ['next.b.example'])
  for (const name of ['server.pem', 'server.key']) copyFileSync(join(folder('next'), name), join(folder('any'), name))
  child.kill('SIGHUP')
  await says(/is in force/)
  assert.equal(await subjectFor(port, 'other.example'), 'next.b.example')
})

test('without a certificate TLS is not offered; one that is none is said with its line', async t => {
  const [port, server] = [await freePort(), await quoting(t)]
  const lines = [...gateway(port, server.port).filter(line => !line.startsWith('fixup')), `strict smtp ${port}`]
  await start(t, configuration(t, lines))
  const talk = await Talk.to(`127.0.0.1:${port}`)
  await talk.hear()
  assert.doesNotMatch(await talk.ask('EHLO client.example'), /STARTTLS/)
  talk.close()
  const wrong = configuration(t, [...lines, 'strict certificate gateway.conf key gateway.conf'])
  const { status, err } = await postern(['firewall', 'run', wrong])
  assert.equal(status, 2)
  assert.match(err, /gateway\.conf:7:1: error: \S+ and \S+ are no certificate with its key/)
})
