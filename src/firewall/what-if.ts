/**
 * Which mail that passed once would stop, or change, under another configuration: recorded dialogues played through the
 * policy that would be in force for them.
 *
 * What is recorded cannot answer for itself. Of a firewall that works in place this tells what it would do to the words
 * that were said, and what that means for the mail they carried: not what either side would have said instead. A proxy is
 * played with (`what-if-proxy.ts`).
 */
import { CR, LF, text } from '../base/bytes.ts'
import type { SourceRef } from '../base/problem.ts'
import { formatDuration } from '../base/time.ts'
import { formatPath } from '../smtp/address.ts'
import { DotReader } from '../smtp/body.ts'
import { type Command, parseCommand } from '../smtp/command.ts'
import { Onlooker, type Said, said } from '../smtp/dialogue.ts'
import type { Admission } from './admission.ts'
import { distinct, type Fate, hidesTls, type Told } from './fate.ts'
import { CONNECTION_IDLE, Inspector } from './inspector.ts'
import type { ProxyPolicy } from './proxy-rules.ts'
import { type Dialogue, endsInTls, exchangesOf, NOWHERE } from './recorded.ts'
import type { Explanation } from './verdict.ts'
import { type WhatIfOptions, whatIfProxied } from './what-if-proxy.ts'

interface Letter {
  readonly from: string
  readonly to: string[]
  readonly at: SourceRef
  readonly explanations: Explanation[]
  stops: boolean
}

/** What would become of the mail of one dialogue under this admission, and of its TLS. Total. */
export function whatIf(dialogue: Dialogue, admission: Admission, options: WhatIfOptions): Told {
  const policy = admission.kind === 'refuse' ? undefined : admission.policy
  if (policy?.engine.kind === 'proxy') return whatIfProxied(dialogue, policy as ProxyPolicy, options)
  return whatIfInPlace(dialogue, admission, options)
}

/** The segments of both sides as they were, through a firewall that works on segments. */
function whatIfInPlace(dialogue: Dialogue, admission: Admission, { client, now, rates }: WhatIfOptions): Told {
  const { spoken } = dialogue
  const policy = admission.kind === 'refuse' ? undefined : admission.policy
  const inspector = policy && new Inspector(policy, { peer: client.address, ...(rates && { rates }) })
  const session: Explanation[] = []
  const fates: Fate[] = []
  const onlooker = new Onlooker()
  const asked: {
    readonly said: Said
    readonly command?: Command
    readonly at: SourceRef
    readonly done: readonly Explanation[]
  }[] = [{ said: 'connect', at: spoken[0]?.at ?? NOWHERE, done: [] }]
  let letter: Letter | undefined
  let sessionStops = false
  /** When something moved last, and whether that was so long ago that nobody knows the connection any more. */
  let movedAt = dialogue.opened
  let why: string | undefined
  let body: DotReader | undefined

  const hear = (code: number): void => {
    const first = asked.shift()
    onlooker.hear(code)
    if (onlooker.phase === 'body') asked.length = 0
    if (!first) return
    const { said: what, command, done } = first
    const isYes = code >= 200 && code < 400
    // A client that was not told of BDAT says DATA, and its mail goes through.
    const isMissed = CHUNKS.has(what) && session.some(takesChunking)
    const isEssential = isYes && !isMissed && done.some(each => stops(each, what))
    if (command?.kind === 'mail' && isYes) {
      letter = { from: formatPath(command.from), to: [], at: first.at, explanations: [], stops: false }
    }
    if (letter && (BELONGS.has(what) || command?.kind === 'rcpt')) {
      letter.explanations.push(...done)
      if (isEssential) letter.stops = true
    } else {
      session.push(...done)
      if (isEssential) sessionStops = true
    }
    if (command?.kind === 'rcpt' && isYes) letter?.to.push(formatPath(command.to))
    if ((what === 'end-of-body' || what === 'last-chunk') && letter) {
      if (isYes) fates.push(fateOf(letter, session, { sessionStops, admission, why }))
      letter = undefined
    }
  }

  let chunk = 0
  for (const { by, bytes, at, when } of spoken) {
    if (when !== undefined && movedAt !== undefined && when - movedAt > CONNECTION_IDLE) why ??= FORGOTTEN
    if (why !== undefined) sessionStops = true
    movedAt = when
    const outputs = inspector?.receive(by === 'C' ? 'client' : 'server', bytes, when ?? now) ?? []
    const done = outputs.flatMap(output => (output.kind === 'altered' ? [output.explanation] : []))
    // Nothing comes behind this: not the rest of this message, and none of those after it.
    if (outputs.some(({ kind }) => kind === 'close')) sessionStops = true
    if (by === 'S') {
      session.push(...done)
      for (const code of codesOf(bytes)) hear(code)
      continue
    }
    let from = 0
    if (onlooker.phase === 'body' && onlooker.outstanding === 0) {
      body ??= new DotReader()
      const { rest } = body.push(bytes)
      letter?.explanations.push(...done)
      if (letter && done.some(each => stops(each, 'end-of-body'))) letter.stops = true
      if (!rest) continue
      body = undefined
      onlooker.say('end-of-body')
      asked.push({ said: 'end-of-body', at, done: [] })
      from = bytes.length - rest.length
    } else if (chunk > 0) letter?.explanations.push(...done)
    let isFirst = true
    while (from < bytes.length) {
      if (chunk > 0) {
        const size = Math.min(chunk, bytes.length - from)
        chunk -= size
        from += size
        continue
      }
      const lf = bytes.indexOf(LF, from)
      const to = lf < 0 ? bytes.length : lf + 1
      const command = parseCommand(trimmed(bytes.subarray(from, to)))
      const what = onlooker.phase === 'auth' ? 'auth-line' : said(command)
      // Of a group, every command is shown what was done to its own verb, and the first what belongs to none.
      const mine = done.filter(each => (masksVerb(each) ? belongsTo(each, command, what) : isFirst))
      if (what === 'bdat' || what === 'last-chunk') chunk = command.kind === 'bdat' ? command.size : 0
      onlooker.say(what)
      asked.push({ said: what, command, at, done: mine })
      isFirst = false
      from = to
    }
  }
  const exchanges = exchangesOf(dialogue)
  const starttls = exchanges.at(-1)
  if (!starttls || !endsInTls(exchanges)) return { fates }
  const { at } = starttls
  if (admission.kind === 'refuse') {
    return { fates, unseen: { starttls: 'not reached', at, explanations: [], refused: admission.reason, assumed: [] } }
  }
  const explanations = distinct(session.filter(hidesTls))
  const became = sessionStops ? 'not reached' : explanations.length > 0 ? 'stripped' : 'passes'
  return { fates, unseen: { starttls: became, at, explanations, assumed: [], ...(why !== undefined && { why }) } }
}

const FORGOTTEN = `nothing was said for so long that a firewall in place gives the connection up: ${formatDuration(CONNECTION_IDLE)}`

const BELONGS: ReadonlySet<Said> = new Set(['mail', 'rcpt', 'data', 'bdat', 'last-chunk', 'end-of-body', 'xexch50'])
const VERBED: ReadonlySet<Explanation['what']> = new Set(['command', 'address'])

const CHUNKS: ReadonlySet<Said> = new Set(['bdat', 'last-chunk'])

function takesChunking({ did, subject }: Explanation): boolean {
  return (did === 'mask' || did === 'strip') && (subject === 'EHLO' || subject === 'CHUNKING')
}

function masksVerb({ did, what }: Explanation): boolean {
  return did === 'mask' && VERBED.has(what)
}

function belongsTo({ subject }: Explanation, command: Command, what: Said): boolean {
  if (what === 'auth-line') return true
  if (command.kind === 'other') return subject === command.verb.toUpperCase() || subject === '[secret]'
  const verb = command.kind === 'garbled' ? command.verb : command.kind
  return subject === verb.toUpperCase()
}

/** Is what was said there lost with this, where the server had said yes to it? */
function stops({ did, what }: Explanation, said: Said): boolean {
  if (did === 'drop-connection' || did === 'reset' || did === 'answer') return true
  if (did !== 'mask') return false
  if (what === 'fragment') return true
  return what === 'command' && ESSENTIAL.has(said)
}

/** Without these there is no mail, or none for a connector that demands a login. */
const ESSENTIAL: ReadonlySet<Said> = new Set([
  'mail',
  'rcpt',
  'data',
  'bdat',
  'last-chunk',
  'auth',
  'x-exps',
  'auth-line',
])

function fateOf(
  letter: Letter,
  session: readonly Explanation[],
  {
    sessionStops,
    admission,
    why,
  }: { readonly sessionStops: boolean; readonly admission: Admission; readonly why: string | undefined },
): Fate {
  const { from, to, at } = letter
  if (admission.kind === 'refuse') {
    return { outcome: 'stops', from, to, at, explanations: [], refused: admission.reason, assumed: [] }
  }
  const explanations = distinct([...session, ...letter.explanations].filter(({ did }) => did !== 'log'))
  const outcome = sessionStops || letter.stops ? 'stops' : explanations.length > 0 ? 'changes' : 'passes'
  return { outcome, from, to, at, explanations, assumed: [], ...(why !== undefined && { why }) }
}

function codesOf(bytes: Uint8Array): readonly number[] {
  return text(bytes)
    .split(/\r?\n/)
    .flatMap(line => (/^\d{3}(?: |$)/.test(line) ? [Number(line.slice(0, 3))] : []))
}

function trimmed(line: Uint8Array): Uint8Array {
  let end = line.length
  while (end > 0 && (line[end - 1] === CR || line[end - 1] === LF)) end--
  return line.subarray(0, end)
}
