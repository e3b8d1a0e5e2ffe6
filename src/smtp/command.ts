import { bytes, CR, LF, SP, strictUtf8, text, upper, utf8 } from '../base/bytes.ts'
import { type ForwardPath, formatPath, parsePath, type ReversePath } from './address.ts'
import { formatParams, fromXtext, type Param, type Params, parseParams, toXtext } from './params.ts'

/** What a client can say. Total: every line is one of these. */
export type Command =
  | { readonly kind: 'ehlo' | 'helo'; readonly domain: string }
  | { readonly kind: 'mail'; readonly from: ReversePath; readonly params: Params }
  | { readonly kind: 'rcpt'; readonly to: ForwardPath; readonly params: Params }
  | { readonly kind: 'bdat'; readonly size: number; readonly last: boolean }
  | { readonly kind: 'auth' | 'x-exps'; readonly mechanism: string; readonly initial?: string }
  | { readonly kind: 'vrfy' | 'expn' | 'help' | 'noop' | 'etrn' | 'atrn'; readonly argument: string }
  | { readonly kind: 'data' | 'rset' | 'quit' | 'starttls' | 'turn' }
  | { readonly kind: 'x-link2state'; readonly position: 'first' | 'next' | 'last' | 'none'; readonly chunk: string }
  | { readonly kind: 'xexch50'; readonly size: number; readonly version: string }
  | { readonly kind: 'xclient'; readonly attributes: readonly Param[] }
  /** Well-formed, and not a verb of ours. */
  | { readonly kind: 'other'; readonly verb: string; readonly argument: string }
  /** A verb of ours, wrongly used. */
  | { readonly kind: 'garbled'; readonly verb: CommandKind; readonly wrong: string; readonly in: 'path' | 'rest' }
  /** Not a command at all: no verb, or an octet that no command may hold. */
  | { readonly kind: 'unreadable'; readonly wrong: string }

export type CommandKind = Exclude<Command['kind'], 'other' | 'garbled' | 'unreadable'>

type Parser = (kind: CommandKind, argument: string) => Command

/** Verb → what it is and how the rest of its line reads. The only list of verbs in the house. */
const VERBS: ReadonlyMap<string, readonly [CommandKind, Parser]> = new Map(
  Object.entries<readonly [CommandKind, Parser]>({
    EHLO: ['ehlo', hello],
    HELO: ['helo', hello],
    MAIL: ['mail', mail],
    RCPT: ['rcpt', rcpt],
    DATA: ['data', bare],
    BDAT: ['bdat', bdat],
    RSET: ['rset', bare],
    NOOP: ['noop', free],
    QUIT: ['quit', bare],
    VRFY: ['vrfy', free],
    EXPN: ['expn', free],
    HELP: ['help', free],
    ETRN: ['etrn', free],
    TURN: ['turn', bare],
    ATRN: ['atrn', free],
    STARTTLS: ['starttls', bare],
    AUTH: ['auth', auth],
    'X-EXPS': ['x-exps', auth],
    'X-LINK2STATE': ['x-link2state', link2state],
    XEXCH50: ['xexch50', xexch50],
    XCLIENT: ['xclient', xclient],
  }),
)

/** Those of four letters, which are nearly all that is said, by what `fourOf` makes of them. */
const BY_FOUR: ReadonlyMap<number, readonly [CommandKind, Parser]> = new Map(
  Array.from(VERBS).flatMap(([verb, known]) => (/^[A-Z]{4}$/.test(verb) ? [[fourOf(bytes(verb)), known]] : [])),
)

const LONGEST = Math.max(...[...VERBS.keys()].map(({ length }) => length))

const VERB_OF: ReadonlyMap<string, string> = new Map([...VERBS].map(([verb, [kind]]) => [kind, verb]))

/** A command's kind in upper case: of all but `other`, its verb. */
export function verbOf(kind: Command['kind']): string {
  return VERB_OF.get(kind) ?? upper(kind)
}

export const COMMAND_KINDS: readonly CommandKind[] = [...VERBS.values()].map(([kind]) => kind)

/** Understands one line without its ending. Never throws, whatever the octets. */
export function parseCommand(line: Uint8Array): Command {
  if (hasControl(line, line.length)) return { kind: 'unreadable', wrong: 'a control character in a command' }
  const length = verbLength(line)
  if (length === 0) return { kind: 'unreadable', wrong: 'no verb' }
  if (length < line.length && !isBlank(line[length])) {
    return { kind: 'unreadable', wrong: 'a space must follow the verb' }
  }
  let from = length
  while (isBlank(line[from])) from++
  // UTF-8 only counts as such where it is well-formed; otherwise the octets are shown one by one.
  const wellFormed = strictUtf8(line, from)
  const argument = wellFormed ?? text(line, from)
  const known = knownVerb(line, length)
  if (!known) return { kind: 'other', verb: text(line, 0, length), argument }
  const [kind, parse] = known
  // A frame counts its octets: one character for each, whatever they spell.
  if (kind === 'x-link2state') return parse(kind, text(line, from))
  // As ISO 8859-1 the octets would make another address, and one that we would pass on.
  if (wellFormed === undefined && (kind === 'mail' || kind === 'rcpt'))
    return garbled(kind, 'not well-formed UTF-8', 'path')
  return parse(kind, argument)
}

/** Which command this is, whatever its argument: `parseCommand`'s `kind`, or the verb of a `garbled` one. `end`: where its CRLF begins. */
export function kindOf(line: Uint8Array, end: number = line.length): CommandKind | 'other' | 'unreadable' {
  if (hasControl(line, end)) return 'unreadable'
  const length = verbLength(line)
  if (length === 0 || (length < end && !isBlank(line[length]))) return 'unreadable'
  return knownVerb(line, length)?.[0] ?? 'other'
}

/** The verb of these first octets, if it is one of ours. */
function knownVerb(line: Uint8Array, length: number): readonly [CommandKind, Parser] | undefined {
  const four = length === 4 ? fourOf(line) : -1
  if (four >= 0) return BY_FOUR.get(four)
  return length > LONGEST ? undefined : VERBS.get(upper(text(line, 0, length)))
}

/** The first four octets as one number, whatever their case; -1 where they are not all letters. */
function fourOf(line: Uint8Array): number {
  let four = 0
  for (let i = 0; i < 4; i++) {
    const letter = (line[i] ?? 0) | 0x20
    if (letter < 0x61 || letter > 0x7a) return -1
    four = (four << 5) | (letter - 0x61)
  }
  return four
}

/** Is there an octet that no command may hold? */
function hasControl(line: Uint8Array, end: number): boolean {
  for (let i = 0; i < end; i++) {
    const octet = line[i] ?? 0
    if (octet < 0x20 && octet !== 0x09) return true
  }
  return false
}

function verbLength(line: Uint8Array): number {
  let length = 0
  while (isOfVerb(line[length], length)) length++
  return length
}

function isBlank(octet: number | undefined): boolean {
  return octet === SP || octet === 0x09
}

function isOfVerb(octet: number | undefined, at: number): boolean {
  if (octet === undefined) return false
  const letter = octet | 0x20
  return (letter >= 0x61 && letter <= 0x7a) || (octet >= 0x30 && octet <= 0x39) || (octet === 0x2d && at > 0)
}

function garbled(verb: CommandKind, wrong: string, part: 'path' | 'rest' = 'rest'): Command {
  return { kind: 'garbled', verb, wrong, in: part }
}

function hello(kind: CommandKind, argument: string): Command {
  // What the peer calls itself is shown, never trusted; but it must be one printable word (RFC 5321 §4.1.1.1).
  const domain = argument.trimEnd()
  if (/[^!-~\u0080-\u{10ffff}]/u.test(domain)) return garbled(kind, 'one word names the client')
  return { kind: kind as 'ehlo', domain }
}

function bare(kind: CommandKind, argument: string): Command {
  return argument.trim() === '' ? { kind: kind as 'data' } : garbled(kind, 'no argument is allowed')
}

function free(kind: CommandKind, argument: string): Command {
  return { kind: kind as 'noop', argument: argument.trimEnd() }
}

function path(kind: 'mail' | 'rcpt', keyword: RegExp, argument: string) {
  const found = keyword.exec(argument)
  if (!found)
    return {
      wrong: kind === 'mail' ? 'MAIL FROM:<path> was expected' : 'RCPT TO:<path> was expected',
      in: 'path' as const,
    }
  const read = parsePath(argument.slice(found[0].length))
  if ('wrong' in read) return { ...read, in: 'path' as const }
  const params = parseParams(read.rest)
  return 'wrong' in params ? { ...params, in: 'rest' as const } : { path: read.path, params }
}

// The space after the colon is wrong and everywhere; taking it hurts nobody.
function mail(_kind: CommandKind, argument: string): Command {
  const read = path('mail', /^FROM: ?/i, argument)
  return 'wrong' in read ? garbled('mail', read.wrong, read.in) : { kind: 'mail', from: read.path, params: read.params }
}

function rcpt(_kind: CommandKind, argument: string): Command {
  const read = path('rcpt', /^TO: ?/i, argument)
  if ('wrong' in read) return garbled('rcpt', read.wrong, read.in)
  if (read.path === null) return garbled('rcpt', 'a recipient cannot be empty', 'path')
  return { kind: 'rcpt', to: read.path, params: read.params }
}

/** No size that cannot be counted exactly: a chunk of unknown length leaves the stream without frames. */
const MAX_CHUNK = 2 ** 40

function bdat(_kind: CommandKind, argument: string): Command {
  const found = /^(\d{1,13})(?: +(LAST))? *$/i.exec(argument)
  const size = Number(found?.[1])
  if (!found || size > MAX_CHUNK) return garbled('bdat', 'BDAT size [LAST] was expected')
  return { kind: 'bdat', size, last: found[2] !== undefined }
}

function auth(kind: CommandKind, argument: string): Command {
  const found = /^([A-Za-z0-9_-]{1,20})(?: +([A-Za-z0-9+/=]+))? *$/.exec(argument)
  const mechanism = found?.[1]?.toUpperCase()
  if (mechanism === undefined) return garbled(kind, 'a mechanism was expected')
  const base = { kind: kind as 'auth', mechanism }
  return found?.[2] === undefined ? base : { ...base, initial: found[2] }
}

function link2state(_kind: CommandKind, argument: string): Command {
  const found = /^(?:(FIRST|NEXT|LAST) +)?CHUNK=(.*)$/is.exec(argument)
  if (!found) return garbled('x-link2state', '[FIRST|NEXT|LAST] CHUNK= was expected')
  const position = (found[1]?.toLowerCase() ?? 'none') as 'first' | 'next' | 'last' | 'none'
  return { kind: 'x-link2state', position, chunk: found[2] ?? '' }
}

function xexch50(_kind: CommandKind, argument: string): Command {
  // `XEXCH50 -1 2` was a heap overflow once (CVE-2003-0714): ten digits, no sign.
  const found = /^(\d{1,10}) +(\d{1,10}) *$/.exec(argument)
  if (!found) return garbled('xexch50', 'XEXCH50 size number was expected')
  return { kind: 'xexch50', size: Number(found[1]), version: found[2] ?? '' }
}

/** Postfix's XCLIENT: NAME=value pairs, each value in xtext, and never one that would be a second command. */
function xclient(_kind: CommandKind, argument: string): Command {
  const pairs = argument.trimEnd().split(/ +/)
  const attributes: Param[] = []
  for (const pair of pairs) {
    const found = /^([A-Za-z]{1,16})=(.*)$/s.exec(pair)
    const value = found && fromXtext(found[2] ?? '')
    if (!found || value === undefined || value === null || /[\x00-\x1f\x7f]/.test(value)) {
      return garbled('xclient', 'NAME=xtext was expected')
    }
    attributes.push({ keyword: (found[1] ?? '').toUpperCase(), value })
  }
  return { kind: 'xclient', attributes }
}

/** What a client of ours says; the forms that only a parser yields are left out. */
export type Sayable = Exclude<Command, { kind: 'garbled' | 'unreadable' }>

/**
 * A command's line, with its CRLF. The one writer of commands: an argument with CR, LF or NUL, whatever it came from
 * (DNS, configuration, another protocol), would be a second command, so there is none: `undefined`. `encode` is `bytes`
 * for a command whose octets were not UTF-8 when it was read.
 */
export function formatCommand(command: Sayable, encode: (text: string) => Uint8Array = utf8): Uint8Array | undefined {
  const said = `${wording(command)}\r\n`
  // A frame of link state is of octets already, and counts them.
  const isFrame = command.kind === 'x-link2state' && !/[^\x00-\xff]/.test(said)
  const line = isFrame ? bytes(said) : encode(said)
  for (let i = 0; i < line.length - 2; i++) {
    const octet = line[i]
    if (octet === CR || octet === LF || octet === 0) return undefined
  }
  return line
}

function wording(command: Sayable): string {
  switch (command.kind) {
    case 'ehlo':
    case 'helo':
      return `${verbOf(command.kind)} ${command.domain}`
    case 'mail':
      return `MAIL FROM:${formatPath(command.from)}${formatParams(command.params)}`
    case 'rcpt':
      return `RCPT TO:${formatPath(command.to)}${formatParams(command.params)}`
    case 'bdat':
      return `BDAT ${command.size}${command.last ? ' LAST' : ''}`
    case 'auth':
    case 'x-exps':
      return join(verbOf(command.kind), command.mechanism, command.initial)
    case 'vrfy':
    case 'expn':
    case 'help':
    case 'noop':
    case 'etrn':
    case 'atrn':
      return join(verbOf(command.kind), command.argument)
    case 'x-link2state':
      return `X-LINK2STATE ${command.position === 'none' ? '' : `${command.position.toUpperCase()} `}CHUNK=${command.chunk}`
    case 'xexch50':
      return `XEXCH50 ${command.size} ${command.version}`
    case 'xclient':
      return join('XCLIENT', ...command.attributes.map(({ keyword, value }) => `${keyword}=${toXtext(value ?? '')}`))
    case 'other':
      return join(command.verb, command.argument)
    default:
      return verbOf(command.kind)
  }
}

function join(...words: (string | undefined)[]): string {
  return words.filter(word => word !== undefined && word !== '').join(' ')
}
