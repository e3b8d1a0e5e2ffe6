/** Postern, which takes our mail: the only one here that has BINARYMIME, so that nothing need be encoded. */
import { bothWays, TEXTS } from './both-ways.ts'
import type { MailSystem, Ports } from './peers/mail-system.ts'
import { FAMILIES, startPostern } from './postern.ts'

const DOMAINS = Object.keys(FAMILIES).map(family => `${family}.peer.example`)

async function start({ port, tls }: Ports): Promise<MailSystem> {
  const lines = DOMAINS.flatMap(domain => [`local-domain ${domain}`, `mailbox ann@${domain}`])
  const { arrived, said, stop } = await startPostern(port, { tls, lines })
  return {
    version: 'postern',
    arrived: (token, mailbox) => arrived(mailbox, token),
    said,
    stop,
  }
}

bothWays({ name: 'Postern', start, tls: true, takes: [...TEXTS, 'binary'] })
