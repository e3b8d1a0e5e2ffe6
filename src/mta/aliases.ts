/**
 * Addresses of ours that stand for others: `alias` lines, and files as sendmail reads them (aliases(5)). They are resolved when
 * a recipient is accepted. No programs, no files to append to.
 */
import type { Diagnostic, SourceRef } from '../base/problem.ts'
import type { Envelope, Recipient } from '../mail/envelope.ts'
import { formatMailbox, isAscii, type Mailbox, mailboxKey, parseMailbox, sameMailbox } from '../smtp/address.ts'
import { toXtext } from '../smtp/params.ts'
import { isLocal, mailboxFor } from './acceptance.ts'
import type { MtaConfig } from './config.ts'

export interface Alias {
  /** Without a domain it stands in every local one. */
  readonly name: Mailbox
  readonly targets: readonly Target[]
  readonly at: SourceRef
}

export interface Target {
  /** Without a domain it is in that of the address that is looked up. */
  readonly to: Mailbox
  /** Written with `\`: the mailbox of that name, whatever alias there is. */
  readonly isFinal: boolean
}

/** Aliases of aliases that are followed. */
export const MAX_DEPTH = 10
/** Addresses that one alias may come to. */
export const MAX_TARGETS = 1_000
/** Recipients that one message may come to. */
export const MAX_EXPANDED = 5_000
/** Aliases of one file. */
export const MAX_ALIASES = 100_000

type Looked = Pick<MtaConfig, 'localDomains' | 'mailboxes' | 'hostname'>

export class Aliases {
  readonly #byName = new Map<string, Alias>()
  readonly #config: Looked

  constructor(config: Looked, aliases: readonly Alias[]) {
    this.#config = config
    for (const each of aliases) this.#byName.set(mailboxKey(each.name), each)
  }

  /** What the address stands for in the end; nothing where it is no alias. */
  of(to: Mailbox): readonly Mailbox[] | undefined {
    if (this.#byName.size === 0 || !isLocal(this.#config, to) || !this.#find(to)) return undefined
    return this.#follow(to).found
  }

  /** What is wrong with them: loops, too much, and names that nobody has. */
  problems(): readonly Diagnostic[] {
    return [...this.#byName.values()].flatMap(({ name, at }): Diagnostic[] => {
      const to = this.#qualified(name, '')
      if (!isLocal(this.#config, to)) {
        const known = this.#config.localDomains.join(', ') || 'none'
        return [{ severity: 'error', message: `${to.domain} is not a local domain`, hint: `known: ${known}`, at }]
      }
      const { wrong } = this.#follow(to)
      return wrong === undefined ? [] : [{ severity: 'error', message: wrong, at }]
    })
  }

  #find(to: Mailbox): Alias | undefined {
    return this.#byName.get(mailboxKey(to)) ?? this.#byName.get(mailboxKey({ ...to, domain: '' }))
  }

  #qualified(to: Mailbox, domain: string): Mailbox {
    return to.domain === '' ? { ...to, domain: domain || this.#config.localDomains[0] || '' } : to
  }

  /** Everything that it comes to, each once; and what is wrong on the way, if anything is. */
  #follow(start: Mailbox): { readonly found: readonly Mailbox[]; readonly wrong?: string } {
    const found = new Map<string, Mailbox>()
    /** How deep one was when it was followed: what it leads to is known from there on, and not looked for again. */
    const followed = new Map<string, number>()
    let wrong: string | undefined
    const walk = (to: Mailbox, path: readonly Mailbox[]): void => {
      if (found.size >= MAX_TARGETS) {
        wrong ??= `it comes to more than ${MAX_TARGETS} addresses`
        return
      }
      const alias = isLocal(this.#config, to) ? this.#find(to) : undefined
      const before = path.at(-1)
      const isItself = before !== undefined && sameMailbox(before, to)
      if (!alias || isItself) return take(to)
      if (path.some(each => sameMailbox(each, to))) {
        wrong ??= `a loop: ${[...path, to].map(formatMailbox).join(' → ')}`
        return
      }
      if (path.length >= MAX_DEPTH) {
        wrong ??= `more than ${MAX_DEPTH} aliases follow each other`
        return
      }
      if ((followed.get(mailboxKey(to)) ?? -1) >= path.length) return
      followed.set(mailboxKey(to), path.length)
      for (const { to: next, isFinal } of alias.targets) {
        const target = this.#qualified(next, to.domain)
        if (isFinal) take(target)
        else walk(target, [...path, to])
      }
    }
    const take = (to: Mailbox): void => {
      if (isLocal(this.#config, to) && !mailboxFor(this.#config, to)) {
        wrong ??= `nobody here is ${formatMailbox(to)}`
      }
      found.set(mailboxKey(to), to)
    }
    walk(start, [])
    return { found: [...found.values()], ...(wrong !== undefined && { wrong }) }
  }
}

export const NO_ALIASES: Aliases = new Aliases({ localDomains: [], mailboxes: [], hostname: '' }, [])

// ── a message to an alias ──────────────────────────────────────────────────────────────────────────────────────────

export interface Expansion {
  readonly envelope: Envelope
  /** Positions of aliases that stay as recipients, because their senders are to be told that they were expanded. */
  readonly expanded: ReadonlyMap<number, number>
  /** Every alias that was resolved, and to how many addresses. */
  readonly aliases: readonly { readonly alias: Mailbox; readonly to: number }[]
}

/** The envelope with every alias resolved, or nothing where that makes more recipients than `MAX_EXPANDED`. */
export function expand(envelope: Envelope, aliases: Aliases): Expansion | undefined {
  const found = envelope.recipients.map(each => aliases.of(each.to))
  if (found.every(each => each === undefined)) return { envelope, expanded: new Map(), aliases: [] }
  const recipients: Recipient[] = []
  const expanded = new Map<number, number>()
  const resolved: { alias: Mailbox; to: number }[] = []
  // Who is meant by name, too, gets one copy, under the wishes that were said for the name.
  const named = new Set(envelope.recipients.flatMap(({ to }, i) => (found[i] ? [] : [mailboxKey(to)])))
  for (const [i, recipient] of envelope.recipients.entries()) {
    const targets = found[i]
    if (!targets) {
      recipients.push(recipient)
      continue
    }
    resolved.push({ alias: recipient.to, to: targets.length })
    const isOne = targets.length === 1
    if (!isOne && wantsSuccess(recipient)) {
      expanded.set(recipients.length, targets.length)
      recipients.push(recipient)
    }
    for (const to of targets) {
      if (named.has(mailboxKey(to))) continue
      named.add(mailboxKey(to))
      recipients.push({ ...(isOne ? recipient : withoutSuccess(recipient)), ...original(recipient), to })
    }
    if (recipients.length > MAX_EXPANDED) return undefined
  }
  return { envelope: { ...envelope, recipients }, expanded, aliases: resolved }
}

function wantsSuccess({ notify }: Recipient): boolean {
  return notify?.split(',').includes('SUCCESS') ?? false
}

/** RFC 3461 §5.2.7.3 (c): what is forwarded to several asks for no SUCCESS; that the alias was expanded is told here. */
function withoutSuccess(recipient: Recipient): Recipient {
  const { notify } = recipient
  if (notify === undefined) return recipient
  const left = notify.split(',').filter(word => word !== 'SUCCESS')
  return { ...recipient, notify: left.length === 0 ? 'NEVER' : left.join(',') }
}

/** Reports name the address that was written (RFC 3461 §4.2); where the sender gave none, it is the alias. */
function original({ to, orcpt }: Recipient): Pick<Recipient, 'orcpt'> {
  if (orcpt !== undefined) return { orcpt }
  const address = formatMailbox(to)
  return isAscii(address) && to.domain !== '' ? { orcpt: `rfc822;${toXtext(address)}` } : {}
}

// ── as text ────────────────────────────────────────────────────────────────────────────────────────────────────────

export type TargetsRead = { readonly targets: readonly Target[] } | { readonly wrong: string; readonly word: string }

/** Addresses with commas or blanks between them; blanks inside quotation marks belong to an address. */
export function parseTargets(text: string): TargetsRead {
  const words = text.match(/\\?(?:"(?:[^"\\]|\\.)*"|[^\s,"])+|"/g) ?? []
  const targets: Target[] = []
  for (const word of words) {
    const isFinal = word.startsWith('\\')
    const bare = isFinal ? word.slice(1) : word
    const inner = /^"(.*)"$/.exec(bare)?.[1] ?? bare
    if (/^[|/]|^:include:/i.test(inner)) return { wrong: 'programs, files and lists to include are not run here', word }
    const to = parseMailbox(bare)
    if ('wrong' in to) return { wrong: to.wrong, word }
    targets.push({ to, isFinal })
  }
  return targets.length === 0 ? { wrong: 'it stands for nobody', word: '' } : { targets }
}

export function formatTarget({ to, isFinal }: Target): string {
  return `${isFinal ? '\\' : ''}${formatMailbox(to)}`
}

/** A file of aliases as sendmail reads it: `name: address, address`; what is indented goes on; `#` begins a comment. */
export function parseAliases(
  text: string,
  file: string,
): { readonly aliases: readonly Alias[]; readonly problems: readonly Diagnostic[] } {
  const aliases: Alias[] = []
  const problems: Diagnostic[] = []
  const error = (message: string, at: SourceRef) => problems.push({ severity: 'error', message, at })
  const known = new Map<string, SourceRef>()
  for (const { line, joined, number } of logicalLines(text)) {
    const at: SourceRef = { file, line: number, column: 1, length: line.length, text: line }
    if (aliases.length >= MAX_ALIASES) {
      error(`there are more than ${MAX_ALIASES} aliases`, at)
      break
    }
    const [, written = '', rest = ''] = /^("(?:[^"\\]|\\.)*"(?:@[^\s:]+)?|[^:"]+?)\s*:(.*)$/s.exec(joined) ?? []
    const name = parseMailbox(written.trim())
    if (written === '' || 'wrong' in name) {
      error(
        'wrong' in name && written !== '' ? `not a name: ${name.wrong}` : 'expected a name, a colon and addresses',
        at,
      )
      continue
    }
    const read = parseTargets(rest)
    if ('wrong' in read) {
      const column = read.word === '' ? 1 : line.indexOf(read.word) + 1
      error(read.wrong, column > 1 ? { ...at, column, length: read.word.length } : at)
      continue
    }
    const before = known.get(mailboxKey(name))
    if (before) error(`${formatMailbox(name)} stands at line ${before.line} already`, at)
    known.set(mailboxKey(name), at)
    aliases.push({ name, targets: read.targets, at })
  }
  return { aliases, problems }
}

/** Lines with those that go on joined to them; without comments and blank ones. `line`: the first as it stands there. */
function logicalLines(
  text: string,
): readonly { readonly line: string; readonly joined: string; readonly number: number }[] {
  const out: { line: string; parts: string[]; number: number }[] = []
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.replace(/\r$/, '')
    if (/^\s*(?:#|$)/.test(line)) continue
    const last = out.at(-1)
    if (/^[ \t]/.test(line) && last) last.parts.push(line.trim())
    else out.push({ line, parts: [line], number: i + 1 })
  }
  return out.map(({ line, parts, number }) => ({ line, joined: parts.join(' '), number }))
}
