/** `postern sendmail`, also as `sendmail`, `mailq` and `newaliases`: what programs of a machine hand their mail to. */
import { userInfo } from 'node:os'
import { basename, dirname } from 'node:path'
import { handIn, localEndpoint } from '../app/hand-in.ts'
import { dropFolderOf } from '../app/mta-spool.ts'
import { newId } from '../base/id.ts'
import { PosternError } from '../base/problem.ts'
import { now, random } from '../io/clock.ts'
import { leave } from '../io/drop-folder.ts'
import { ConfigurationError, readConfig } from '../io/files.ts'
import { dial, type Endpoint } from '../io/sockets.ts'
import { addressesIn } from '../mail/address-list.ts'
import type { Envelope } from '../mail/envelope.ts'
import { handedIn } from '../mail/handed-in.ts'
import { type Called, EX, parseSendmail, type SendOptions, USAGE } from '../mail/sendmail.ts'
import { MTA } from '../mta/commands.ts'
import type { MtaConfig } from '../mta/config.ts'
import { formatMailbox, isAscii, type Mailbox, type ReversePath } from '../smtp/address.ts'
import { toXtext } from '../smtp/params.ts'
import { newEntry, type Outcome, sayOutcome } from '../spool/entry.ts'
import { complain, print } from './print.ts'
import { runQueue } from './queue.ts'

/** The configuration that is meant where nothing says another one (`-C`, or this variable of the environment). */
export const USUAL_FILE = '/etc/postern/mail.conf'
export const FILE_VARIABLE = 'POSTERN_MAIL_CONF'

const NAMES: ReadonlySet<string> = new Set(['sendmail', 'mailq', 'newaliases'])

/** The name it is called by, where that is one of these, and the words behind it. */
export function calledAsSendmail(
  argv: readonly string[],
): { readonly name: string; readonly args: readonly string[] } | undefined {
  const name = basename(argv[1] ?? '')
  if (NAMES.has(name)) return { name, args: argv.slice(2) }
  const first = argv[2] ?? ''
  return NAMES.has(first) ? { name: first, args: argv.slice(3) } : undefined
}

/** Does what was asked, and gives back an exit code of sysexits.h. 0: the message is on the server's disk, or left for it. */
export async function sendmail(name: string, args: readonly string[]): Promise<number> {
  const called = parseSendmail(name, args)
  if ('wrong' in called) return fail(EX.usage, `${called.wrong} (sendmail --help tells which there are)`)
  try {
    return await carryOut(called)
  } catch (cause) {
    if (cause instanceof Refusal) return fail(cause.code, cause.message)
    if (!(cause instanceof PosternError)) throw cause
    return fail(EX.tempFail, cause.message)
  }
}

/** It ends here, with this exit code. */
class Refusal extends Error {
  readonly code: number
  constructor(code: number, why: string) {
    super(why)
    this.code = code
  }
}

function fail(code: number, why: string): number {
  complain(`sendmail: ${why}`)
  return code
}

async function carryOut({ mode, options }: Exclude<Called, { readonly wrong: string }>): Promise<number> {
  const file = options.file ?? process.env[FILE_VARIABLE] ?? USUAL_FILE
  switch (mode) {
    case 'help':
      print(USAGE.trimEnd())
      return EX.ok
    case 'list':
      return (await runQueue(file, 'list', [], {})) === 0 ? EX.ok : EX.unavailable
    case 'flush':
      return (await runQueue(file, 'retry', [], { all: true })) === 0 ? EX.ok : EX.unavailable
    case 'aliases':
      complain('aliases are read when the server starts or is reloaded; there is nothing to build')
      return EX.ok
    case 'session':
      return session(configOf(file))
    default:
      return send(configOf(file), file, options)
  }
}

function configOf(file: string): MtaConfig {
  try {
    return readConfig(MTA, file).config
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw new Refusal(EX.config, `${file} has mistakes (postern config check)`)
    throw new Refusal(EX.config, `${(cause as Error).message} (-C FILE, or ${FILE_VARIABLE}, names another one)`)
  }
}

function endpointIn(config: MtaConfig): Endpoint {
  const at = localEndpoint(config)
  if (!at) throw new Refusal(EX.config, 'the server listens nowhere in clear: add a line such as: listen 127.0.0.1')
  return at
}

// ── one message ────────────────────────────────────────────────────────────────────────────────────────────────────

async function send(config: MtaConfig, file: string, options: SendOptions): Promise<number> {
  const at = endpointIn(config)
  const from = senderOf(config, options)
  const named = options.recipients.map(addressesIn)
  const message = handedIn(await readAll(config.limits.messageSize), {
    fromHeader: options.fromHeader,
    dotsAreText: options.dotsAreText,
    sender: from ?? qualified(config, { local: userInfo().username, domain: '' }),
    ...(options.fullName !== undefined && { fullName: options.fullName }),
    id: newId(now(), random),
    host: config.hostname,
    now: now(),
  })
  if ('refused' in message) return fail(EX.dataErr, message.refused)
  const wrong = [...named.flatMap(each => each.wrong), ...message.wrong]
  if (wrong.length > 0) return fail(EX.dataErr, `not an address: ${wrong.join(', ')}`)
  const recipients = unique([...named.flatMap(({ found }) => found), ...message.recipients], config)
  if (recipients.length === 0) {
    return fail(
      EX.usage,
      options.fromHeader ? 'its header names nobody to send it to' : 'nobody is named to send it to',
    )
  }
  const envelope = envelopeFor(from, recipients, message.content, options)
  const { content } = message
  const outcomes = await handIn(at, config, { envelope, content }).catch(cause => {
    if (!(cause instanceof PosternError)) throw cause
    return drop(config, file, { envelope, content, why: cause.message })
  })
  if (!outcomes) return EX.ok
  const [worst = EX.ok] = outcomes.map(codeOf).sort((a, b) => RANK.indexOf(b) - RANK.indexOf(a))
  for (const [i, outcome] of outcomes.entries()) {
    const to = recipients[i]
    if (to && (options.verbose || codeOf(outcome) !== EX.ok))
      complain(`sendmail: ${formatMailbox(to)}: ${sayOutcome(outcome)}`)
  }
  return worst
}

/** No server runs: the message is left where the next one finds it, in as many files as it wants transactions. */
async function drop(
  config: MtaConfig,
  file: string,
  { envelope, content, why }: { readonly envelope: Envelope; readonly content: Uint8Array; readonly why: string },
): Promise<undefined> {
  const { messageSize, recipients: most } = config.limits
  if (content.length > messageSize)
    throw new Refusal(EX.unavailable, `the message is longer than the ${messageSize} octets that are taken`)
  const folder = dropFolderOf(config, dirname(file))
  if (folder === undefined) throw new Refusal(EX.tempFail, why)
  for (let first = 0; first < envelope.recipients.length; first += most) {
    const part = { ...envelope, recipients: envelope.recipients.slice(first, first + most) }
    const at = now()
    const entry = newEntry({
      id: newId(at, random),
      envelope: part,
      at,
      expire: config.expire,
      what: 'left by sendmail',
    })
    try {
      await leave(folder, entry, content)
    } catch (cause) {
      if (!(cause instanceof PosternError)) throw cause
      throw new Refusal(EX.tempFail, `${why}; ${cause.message}`)
    }
  }
}

/** Standard input to its end. Nothing is kept of what is longer than the server takes. */
async function readAll(most: number): Promise<Uint8Array> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of process.stdin) {
    size += (piece as Buffer).length
    if (size > most) throw new Refusal(EX.unavailable, `the message is longer than the ${most} octets that are taken`)
    pieces.push(piece as Buffer)
  }
  return Buffer.concat(pieces)
}

function senderOf(config: MtaConfig, { from }: SendOptions): ReversePath {
  if (from === '') return null
  const { found, wrong } = addressesIn(from ?? userInfo().username)
  const [sender] = found
  if (!sender || wrong.length > 0) throw new Refusal(EX.usage, `not an address: ${from ?? userInfo().username}`)
  return qualified(config, sender)
}

/** A name alone is somebody of this machine. */
function qualified({ localDomains, hostname }: MtaConfig, { local, domain }: Mailbox): Mailbox {
  return { local, domain: domain === '' ? (localDomains[0] ?? hostname) : domain }
}

function unique(recipients: readonly Mailbox[], config: MtaConfig): readonly Mailbox[] {
  return [...new Map(recipients.map(each => qualified(config, each)).map(each => [formatMailbox(each), each])).values()]
}

function envelopeFor(
  from: ReversePath,
  recipients: readonly Mailbox[],
  content: Uint8Array,
  { notify, ret, envid }: SendOptions,
): Envelope {
  return {
    from,
    recipients: recipients.map(to => ({ to, ...(notify !== undefined && { notify }) })),
    smtputf8: ![from, ...recipients].every(each => each === null || isAscii(each.local + each.domain)),
    body: content.some(octet => octet > 127) ? '8bitmime' : '7bit',
    ...(ret && { ret }),
    ...(envid !== undefined && { envid: toXtext(envid) }),
  }
}

/** The worst last: what may be tried again is worse than what is done, and what is not is worse than that. */
const RANK: readonly number[] = [EX.ok, EX.unavailable, EX.noPerm, EX.noUser, EX.dataErr, EX.tempFail]

function codeOf(outcome: Outcome): number {
  if (outcome.kind === 'deferred') return EX.tempFail
  if (outcome.kind !== 'failed') return EX.ok
  const { status = '' } = outcome.by
  const [, code] = CODES.find(([what]) => status.startsWith(what)) ?? []
  return code ?? EX.unavailable
}

/** By enhanced status (RFC 3463). */
const CODES: readonly (readonly [status: string, code: number])[] = [
  ['5.1.1', EX.noUser],
  ['5.1.', EX.dataErr],
  ['5.6.', EX.dataErr],
  ['5.7.', EX.noPerm],
]

// ── a session ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** `-bs`: whoever speaks SMTP on standard input speaks it to the server. */
async function session(config: MtaConfig): Promise<number> {
  const socket = await dial(endpointIn(config))
  socket.on('error', () => {})
  process.stdin.pipe(socket)
  socket.pipe(process.stdout, { end: false })
  await new Promise(resolve => socket.once('close', resolve))
  return EX.ok
}
