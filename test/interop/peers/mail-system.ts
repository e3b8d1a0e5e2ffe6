import type { Certificates } from '../../certificates.ts'

/** Of 127.0.0.1 and ::1 alike: where the peer shall listen, and where we do. */
export interface Ports {
  readonly port: number
  readonly postern: number
  /** For whoever is the server; without them everything goes in clear. */
  readonly tls?: Certificates | undefined
}

/** Somebody else's mail system, running for one suite. */
export interface MailSystem {
  readonly version: string
  /** The letter with this token, as it was taken for that mailbox, with CRLF for line ends. */
  arrived(token: string, mailbox: string): Promise<Buffer>
  /** The last of its log. */
  said(): string
  stop(): Promise<void>
}
