/** Our mail server, run as a person runs it, with a way to a peer and mailboxes of its own. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Program, start, untilListening, workDirectory } from '../../tools/bench/process.ts'
import type { Certificates } from '../certificates.ts'
import { ROOT } from '../journeys/postern.ts'
import { handIn } from './hand-in.ts'
import type { Letter } from './letter.ts'
import { arrival, PATIENCE } from './mailbox.ts'

export const FAMILIES = { v4: '127.0.0.1', v6: '::1' } as const
export type Family = keyof typeof FAMILIES

/** Mail for these is ours; by its domain a letter says over which family it shall come. */
export const ours = (family: Family): string => `bob@${family}.postern.example`
/** Mail for these goes to the peer, over that family. */
export const theirs = (family: Family): string => `ann@${family}.peer.example`
/** Sends, and gets reports. */
export const SENDER = 'alice@v4.postern.example'

export interface Postern {
  readonly port: number
  /** The letter with this token, in the mailbox it was sent to. */
  arrived(mailbox: string, token: string): Promise<Buffer>
  /**
   * Takes a letter for relaying, and says what became of it at the first try: the line of its log. Where a letter before it
   * found nobody there, that is no try yet, and it follows soon.
   */
  relays(letter: Letter, to: string): Promise<string>
  said(): string
  stop(): Promise<void>
}

export interface Setting {
  /** The port where mail for `peer.example` goes, over both families. */
  readonly peer?: number
  /** What we show, and what the peer must have proven; without it everything goes in clear. */
  readonly tls?: Certificates | undefined
  /** A port where TLS begins with the first octet. */
  readonly implicit?: number
  /** More lines of configuration. */
  readonly lines?: readonly string[]
}

export async function startPostern(port: number, { peer, tls, implicit, lines = [] }: Setting = {}): Promise<Postern> {
  const folder = mkdtempSync(join(workDirectory(), 'postern-'))
  const file = join(folder, 'mail.conf')
  const families = Object.entries(FAMILIES)
  const configuration = [
    'hostname mx.postern.example',
    ...families.map(([, ip]) => `listen ${ip} port ${port}`),
    ...families.flatMap(([name]) => [
      `local-domain ${name}.postern.example`,
      `mailbox bob@${name}.postern.example`,
      `mailbox alice@${name}.postern.example`,
    ]),
    'relay-from 127.0.0.0 255.0.0.0',
    'queue retry 1s',
    ...(peer === undefined
      ? []
      : families.flatMap(([name, ip]) => [
          `connector ${name} to Peer cost 1 target ${ip} port ${peer}`,
          `address-space ${name} smtp ${name}.peer.example`,
          ...(tls ? [`connector-tls ${name} verify name localhost ca ${tls.authority}`] : []),
        ])),
    ...(tls ? [`tls certificate ${tls.certificate} key ${tls.key}`] : []),
    ...(implicit === undefined ? [] : families.map(([, ip]) => `listen ${ip} port ${implicit} tls`)),
    ...lines,
  ]
  writeFileSync(file, `${configuration.join('\n')}\n`)
  const maildir = join(folder, 'maildir')
  const program: Program = start({
    name: 'postern',
    command: join(ROOT, 'postern'),
    args: ['mta', 'run', file, '--maildir', maildir],
    cwd: folder,
  })
  await untilListening(program, port)
  return {
    port,
    arrived: (mailbox, token) => arrival(join(maildir, mailbox, 'new'), token, program.said),
    async relays(letter, to) {
      const [, id] = /Queued as (\S+)/.exec(await handIn(port, { from: SENDER, to, letter })) ?? []
      for (const end = performance.now() + PATIENCE; performance.now() < end; await sleep(20)) {
        const line = program
          .said()
          .split('\n')
          .find(each => each.startsWith(`${id}: <${to}> `) && !each.includes(' not tried, '))
        if (line !== undefined) return line
      }
      throw new Error(`nothing became of ${id} in time:\n${program.said()}`)
    },
    said: program.said,
    stop: () => program.stop(),
  }
}
