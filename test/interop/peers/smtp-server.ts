/** npm's smtp-server: takes mail for anybody, and keeps it in memory. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { SMTPServer } from 'smtp-server'
import { FAMILIES } from '../postern.ts'
import type { MailSystem, Ports } from './mail-system.ts'

const { version } = createRequire(import.meta.url)('smtp-server/package.json') as { readonly version: string }

export interface SmtpServer extends MailSystem {
  /** Did the letter with this token come under TLS? `undefined` where it did not come. */
  cameSecure(token: string): boolean | undefined
}

interface Kept {
  readonly content: Buffer
  readonly secure: boolean
}

export interface SmtpServerSetting {
  /** TLS from the first octet on. */
  readonly implicit?: boolean
  /** Mail is taken from nobody else, by these mechanisms. */
  readonly account?: { readonly user: string; readonly password: string; readonly mechanisms: readonly string[] }
}

export async function startSmtpServer(
  { port, tls }: Ports,
  { implicit = false, account }: SmtpServerSetting = {},
): Promise<SmtpServer> {
  const kept: Kept[] = []
  const servers: SMTPServer[] = []
  for (const host of Object.values(FAMILIES)) {
    const server = new SMTPServer({
      authOptional: account === undefined,
      ...(account && { authMethods: [...account.mechanisms] }),
      onAuth: ({ username, password }, _session, done) => {
        if (account && username === account.user && password === account.password) done(null, { user: username })
        else done(new Error('not the password'))
      },
      disableReverseLookup: true,
      secure: implicit,
      ...(tls
        ? { cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }
        : // It would offer STARTTLS with a certificate of its own that proves nothing.
          { hideSTARTTLS: true }),
      onData: (stream, { secure }, done) => {
        const pieces: Buffer[] = []
        stream.on('data', piece => pieces.push(piece))
        stream.on('end', () => {
          kept.push({ content: Buffer.concat(pieces), secure })
          done()
        })
      },
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
      const found = kept.find(({ content }) => content.includes(token))
      if (found) return found.content
      throw new Error(`${token} is not among the ${kept.length} messages that smtp-server took`)
    },
    cameSecure: token => kept.find(({ content }) => content.includes(token))?.secure,
    said: () => '',
    stop: async () => {
      for (const server of servers) await new Promise<void>(resolve => server.close(resolve))
    },
  }
}
