/** Reports to senders: what an entry owes, as a message of our own. */
import { concat, copy, NO_BYTES } from '../base/bytes.ts'
import { newId } from '../base/id.ts'
import type { Instant } from '../base/time.ts'
import { random } from '../io/clock.ts'
import type { Quoted } from '../mail/dsn.ts'
import { MessageForm } from '../mail/form.ts'
import { bounce, delayed, returnsAll } from '../mta/bounce.ts'
import type { MtaConfig } from '../mta/config.ts'
import { type MessageNews, type ReportKind, sayNews, trailed } from '../mta/news.ts'
import { newEntry, type SpoolEntry } from '../spool/entry.ts'
import type { OwnMessage, Spool } from '../spool/spool.ts'

/** Octets of a header kept for a report. */
const REPORTED_HEADER = 16_384

const NOTHING: Quoted = { what: 'header', bytes: NO_BYTES }

/** An entry and what it owes its sender now. */
export interface Told {
  readonly entry: SpoolEntry
  readonly news?: MessageNews
  readonly report?: OwnMessage
}

export class Reports {
  readonly #config: MtaConfig
  readonly #spool: Spool

  constructor(config: MtaConfig, spool: Spool) {
    this.#config = config
    this.#spool = spool
  }

  /** The entry with a note of the report that it owes now, and the report; as it was where none is owed. */
  async told(entry: SpoolEntry, what: ReportKind, at: Instant): Promise<Told> {
    const report = await this.#about(entry, what === 'end' ? bounce : delayed, at)
    if (report) {
      const news: MessageNews = { kind: 'reported', what, by: report.entry.id }
      return { entry: trailed(entry, news, at), news, report }
    }
    if (what === 'end') return { entry }
    const news: MessageNews = { kind: 'late' }
    return { entry: trailed(entry, news, at), news }
  }

  async #about(entry: SpoolEntry, tells: typeof bounce, at: Instant): Promise<OwnMessage | undefined> {
    const { hostname: host, expire } = this.#config
    const id = newId(at, random)
    const facts = { host, id, now: at, quoted: NOTHING }
    // Asked before anything is read: most owe none.
    if (!tells(entry, facts)) return undefined
    // A message whose content rotted is reported all the same.
    const owed = tells(entry, { ...facts, quoted: await this.#quoted(entry).catch(() => NOTHING) })
    const what = sayNews({ kind: 'made', about: entry.id })
    return owed && { entry: newEntry({ id, envelope: owed.envelope, at, expire, what }), body: owed.body }
  }

  async #quoted(entry: SpoolEntry): Promise<Quoted> {
    if (!returnsAll(entry)) return { what: 'header', bytes: await this.#header(entry) }
    const pieces: Uint8Array[] = []
    for await (const piece of this.#spool.body(entry.id)) pieces.push(copy(piece))
    const bytes = concat(pieces)
    // Stray octets and endless lines would make the report one that others refuse.
    const form = new MessageForm()
    form.push(bytes)
    form.end()
    return form.bodyType === 'binarymime'
      ? { what: 'header', bytes: await this.#header(entry) }
      : { what: 'message', bytes }
  }

  async #header(entry: SpoolEntry): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of this.#spool.body(entry.id)) {
      pieces.push(piece)
      size += piece.length
      if (size >= REPORTED_HEADER) break
    }
    const start = Buffer.from(concat(pieces).subarray(0, REPORTED_HEADER))
    const end = start.indexOf('\r\n\r\n')
    return end < 0 ? start.subarray(0, start.lastIndexOf('\r\n') + 2) : start.subarray(0, end + 2)
  }
}
