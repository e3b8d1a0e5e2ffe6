/** npm's smtp-server: takes mail for anybody, and keeps it in memory. */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { FAMILIES } from '../postern.ts'
import type { MailSystem, Ports } from './mail-system.ts'

const { version } = createRequire(import.meta.url)('smtp-server/package.json') as { readonly version: string }

export async function startSmtpServer({ port }: Ports, options: SMTPServerOptions = {}): Promise<MailSystem> {
  const kept: Buffer[] = []
  const servers: SMTPServer[] = []
  for (const host of Object.values(FAMILIES)) {
    const server = new SMTPServer({
      authOptional: true,
      disableReverseLookup: true,
      hideSTARTTLS: true,
      onData: (stream, _session, done) => {
        const pieces: Buffer[] = []
        stream.on('data', piece => pieces.push(piece))
        stream.on('end', () => {
          kept.push(Buffer.concat(pieces))
          done()
        })
      },
      ...options,
    })
    // A connection that breaks is for the test to notice, not for the process to end on.
    server.on('error', () => {})
    server.listen(port, host)
    await once(server.server, 'listening')
    servers.push(server)
  }
  return {
    version: `smtp-server ${version}`,
    async arrived(token) {
      const found = kept.find(each => each.includes(token))
      if (found) return found
      throw new Error(`${token} is not among the ${kept.length} messages that smtp-server took`)
    },
    said: () => '',
    stop: async () => {
      for (const server of servers) await new Promise<void>(resolve => server.close(resolve))
    },
  }
}
