import type { Command } from 'commander'
import { parseEndpoint } from '../app/vantages.ts'
import { bytes, concat } from '../base/bytes.ts'
import { cite, PosternError } from '../base/problem.ts'
import type { Times } from '../diagnosis/hearing.ts'
import { codeOf, heardBytes, MAX_HEARD, verbOf } from '../diagnosis/observation.ts'
import type { Caller } from '../firewall/access.ts'
import { admit } from '../firewall/admission.ts'
import { FIREWALL } from '../firewall/commands.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import type { Fate, TlsFate, Unseen } from '../firewall/fate.ts'
import { Rates } from '../firewall/rates.ts'
import { type Dialogue, dialoguesOf, type Spoken } from '../firewall/recorded.ts'
import { mappedFor, staticsOf } from '../firewall/translation.ts'
import type { Explanation } from '../firewall/verdict.ts'
import { whatIf } from '../firewall/what-if.ts'
import { withinLimits } from '../firewall/what-if-limits.ts'
import { now } from '../io/clock.ts'
import { type Connection, readCapture } from '../io/connections.ts'
import { ConfigurationError, readBytes, readConfig, readHead } from '../io/files.ts'
import { isCapture } from '../io/pcap.ts'
import { parseTranscript } from '../transcript/parse.ts'
import { complain, EXIT, print, styled } from './print.ts'

interface WhatIfOptions {
  readonly sessions: readonly string[]
  readonly at?: string
  readonly source?: string
  readonly destination?: string
  readonly port?: string
  readonly json?: boolean
}

/** `postern firewall what-if`: which recorded mail a configuration would stop or change. */
export function whatIfCommand(firewall: Command): void {
  firewall
    .command('what-if')
    .description('play recorded dialogues through a configuration: which mail would stop, or change, and why')
    .argument('<file>', 'a configuration, in the words of a Cisco PIX')
    .requiredOption('--sessions <records...>', 'recorded dialogues: transcripts (.smtp), pcap, pcapng')
    .option('--at <interface>', 'where the calls come in; as recorded, else where the first `static` listens')
    .option('--source <address>', 'who calls')
    .option('--destination <address>', 'whom they call')
    .option('--port <number>', 'at which port')
    .option('--json', 'print one JSON object for each message, and a last one that counts')
    .addHelpText(
      'after',
      '\nThe status is 0 if all mail passes as it came, 1 if any would stop or change, or TLS would not get through.',
    )
    .action((file: string, options: WhatIfOptions) => {
      process.exitCode = run(file, options)
    })
}

function run(file: string, options: WhatIfOptions): number {
  const { config } = readConfig(FIREWALL, file)
  const canSecure = config.proxies.certificates.length > 0
  const sessions = options.sessions.map(readSession)
  tellTimeless(sessions)
  const told = onOneClock(sessions).flatMap(dialogues => {
    const rates = new Rates()
    const calls = dialogues.map(dialogue => {
      const caller = callerOf(config, dialogue, options)
      return { dialogue, caller, admission: admit(config, config.hostname, caller.at, caller) }
    })
    return withinLimits(calls, config.gateway.limits).map(({ dialogue, caller, admission }) =>
      whatIf(dialogue, admission, { client: { address: caller.source }, canSecure, now: now(), rates }),
    )
  })
  const fates = told.flatMap(each => each.fates)
  const unseen = told.flatMap(each => each.unseen ?? [])
  if (fates.length + unseen.length === 0) {
    throw misuse('no message was taken in these dialogues: there is nothing to tell')
  }
  for (const fate of fates) options.json ? print(JSON.stringify(facts(fate))) : printFate(fate)
  for (const each of unseen) options.json ? print(JSON.stringify(unseenFacts(each))) : printUnseen(each)
  const count = (outcome: Fate['outcome']): number => fates.filter(each => each.outcome === outcome).length
  const [stops, changes, passes] = [count('stops'), count('changes'), count('passes')]
  if (options.json) print(JSON.stringify({ stops, changes, passes, unseen: unseen.length }))
  else {
    if (unseen.length > 0) print(`not looked into, as TLS began: ${numbered(unseen.length, 'session')}`)
    print(
      `of ${numbered(fates.length, 'message')} ${stops} would stop, ${changes} would change, ${passes} would pass as they came`,
    )
  }
  const isTlsLost = unseen.some(({ starttls }) => LOSES_TLS.has(starttls))
  return stops + changes > 0 || isTlsLost ? EXIT.failed : EXIT.ok
}

/** Captures show the time of the day, and are played as one; each transcript has a clock of its own. */
function onOneClock(files: readonly Session[]): readonly (readonly Dialogue[])[] {
  const captured = files.filter(({ isCapture }) => isCapture).flatMap(({ dialogues }) => dialogues)
  const byTime = captured.toSorted((a, b) => (a.opened ?? 0) - (b.opened ?? 0))
  return [byTime, ...files.filter(({ isCapture }) => !isCapture).map(({ dialogues }) => dialogues)]
}

function numbered(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

interface Session {
  readonly path: string
  readonly isCapture: boolean
  readonly dialogues: readonly Dialogue[]
}

/** Told once: of what is recorded in a moment there are many. */
function tellTimeless(sessions: readonly Session[]): void {
  const timeless = sessions.filter(({ dialogues }) => dialogues.some(({ opened }) => opened === undefined))
  const [first, ...others] = timeless
  if (!first) return
  const which = others.length === 0 ? first.path : `${timeless.length} records, such as ${first.path}`
  complain(`${which}: no time passes there: no wait, data rate or limit of rate could be judged`)
}

function readSession(path: string): Session {
  if (isCapture(readHead(path, 4))) {
    const { connections, notes } = readCapture(path)
    for (const note of notes) complain(`${path}: ${note}`)
    return { path, isCapture: true, dialogues: connections.map(connection => captured(connection, path)) }
  }
  const { transcript, problems } = parseTranscript(readBytes(path).toString('utf8'), path)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new ConfigurationError(errors)
  const dialogues = dialoguesOf(transcript)
  return { path, isCapture: false, dialogues }
}

/**
 * A connection of a capture, in the order of its time; its octets are judged command by command, and those of a message as
 * they came. What stands behind the place in `at` is the number of the command.
 */
function captured({ client, server, exchanges, times, from, to }: Connection, path: string): Dialogue {
  const file = `${path} (${client} to ${server})`
  const inOrder = exchanges.flatMap((exchange, i): readonly Spoken[] => {
    const at = { file, line: i + 1, column: 1, length: 1, text: '' }
    const { said = [], heard } = times[i] ?? {}
    const whole = concat([bytes(exchange.said), ...(verbOf(exchange) === 'BDAT' ? [chunk(exchange.said)] : [])])
    return [
      ...inPieces(whole, said).map(piece => ({ by: 'C' as const, at, ...piece })),
      { by: 'S' as const, bytes: heardBytes(exchange), at, ...(heard !== undefined && { when: heard }) },
    ].filter(each => each.bytes.length > 0)
  })
  const spoken = inOrder.toSorted((a, b) => (a.when ?? 0) - (b.when ?? 0))
  const [last, at] = [exchanges.at(-1), spoken.at(-1)?.at]
  const unended = last && { DATA: codeOf(last) === 354, BDAT: codeOf(last) === 0 }[verbOf(last)]
  if (unended && at) {
    const read = `at most ${MAX_HEARD} octets of a connection are read`
    complain(`${file}: the end of the last message is not there (${read}); it is judged as if it had been taken`)
    if (verbOf(last) === 'DATA') spoken.push({ by: 'C', bytes: bytes('.\r\n'), at })
    spoken.push({ by: 'S', bytes: bytes('250 2.0.0 Ok\r\n'), at })
  }
  const caller = { source: parseEndpoint(client).host, destination: parseEndpoint(server).host }
  return { file, caller, spoken, opened: from, closed: to }
}

/** What was said, cut where time passed between its octets. */
function inPieces(said: Uint8Array, arrivals: Times['said']): readonly Pick<Spoken, 'bytes' | 'when'>[] {
  let from = 0
  const pieces = arrivals.map(({ octets, at }, i) => {
    const to = i === arrivals.length - 1 ? said.length : Math.min(octets, said.length)
    const piece = { bytes: said.subarray(from, to), when: at }
    from = to
    return piece
  })
  return pieces.length > 0 ? pieces : [{ bytes: said }]
}

/** As many octets as a BDAT said: the reader of captures counts them off and does not keep them. */
function chunk(said: string): Uint8Array {
  const size = Math.min(MAX_HEARD, Number(/^BDAT (\d{1,12})/i.exec(said)?.[1] ?? 0))
  return new Uint8Array(size).fill(0x78)
}

/** Who calls whom, and where: as it was recorded, where no option says otherwise. */
function callerOf(config: FirewallConfig, { caller }: Dialogue, options: WhatIfOptions): Caller & { at: string } {
  const statics = staticsOf(config)
  // A capture may have been made behind the firewall, where the server has its own address.
  const seen = caller?.destination
  const [meant] = statics.flatMap(each => {
    const mappedIp = seen === undefined ? undefined : mappedFor(each, seen)
    return mappedIp === undefined ? [] : [{ ...each, mappedIp }]
  })
  const door = meant ?? statics.find(({ redirect }) => redirect) ?? statics[0]
  const at = options.at ?? caller?.at ?? door?.mapped
  const recorded = caller?.at === undefined ? undefined : seen
  const destination = options.destination ?? recorded ?? door?.mappedIp
  if (at === undefined || destination === undefined) {
    throw misuse('the file has no `static`: say by --at and --destination where the calls come in, and for whom')
  }
  const source = options.source ?? caller?.source ?? DOCUMENTATION
  const port = Number(options.port ?? caller?.port ?? door?.redirect?.mappedPort ?? 25)
  return { at, source, destination, port }
}

/** Somebody outside, when nobody says who (RFC 5737 §3). */
const DOCUMENTATION = '198.51.100.1'

const STYLES = { stops: 'red', changes: 'bad', passes: 'good' } as const

function printFate({ outcome, from, to, at, explanations, refused, why, assumed }: Fate): void {
  print(`${styled(outcome.padEnd(8), STYLES[outcome])} ${cite(at)} ${from} to ${to.join(' ')}`)
  if (why !== undefined) print(`   ${why}`)
  if (refused !== undefined) print(`   not let in: ${refused}`)
  printWhy(explanations, assumed)
}

/** What becomes of STARTTLS, and what that means for the mail behind it. */
const TLS_WORDS: Readonly<Record<TlsFate, string>> = {
  passes: 'STARTTLS passes, and this configuration does not look into what comes in it either',
  stripped: 'STARTTLS does not get through: what came in it goes in clear, or not at all',
  'ends here': 'STARTTLS ends here: what came in it would be looked at, and is begun anew towards the server',
  'not reached': 'the session ends before STARTTLS: what came in it does not get through',
}
const LOSES_TLS: ReadonlySet<TlsFate> = new Set(['stripped', 'not reached'])

function printUnseen({ starttls, at, explanations, refused, why, assumed }: Unseen): void {
  print(`${styled('unseen  ', LOSES_TLS.has(starttls) ? 'red' : 'bad')} ${cite(at)} TLS begins, and the record ends`)
  print(`   ${TLS_WORDS[starttls]}`)
  if (why !== undefined) print(`   ${why}`)
  if (refused !== undefined) print(`   not let in: ${refused}`)
  printWhy(explanations, assumed)
}

function unseenFacts({ starttls, at, explanations, refused, why, assumed }: Unseen) {
  return {
    outcome: 'unseen',
    starttls,
    ...(why !== undefined && { why }),
    ...commonFacts({ at, explanations, refused, assumed }),
  }
}

function printWhy(explanations: readonly Explanation[], assumed: readonly string[]): void {
  for (const { did, what, subject, because, losses } of explanations) {
    print(`   ${did} ${`${what} ${subject}`.trim()}, by ${cite(because.cause.at)}: ${because.cause.command}`)
    print(`      ${because.reason}`)
    for (const { what: lost, felt } of losses.slice(0, 1)) print(`      missed: ${lost}; ${felt}`)
    print(`      cure: ${because.cause.cure}`)
  }
  for (const words of assumed) print(`   assumed: ${words}`)
}

function facts({ outcome, from, to, at, explanations, refused, why, assumed }: Fate) {
  return {
    outcome,
    from,
    to,
    ...(why !== undefined && { why }),
    ...commonFacts({ at, explanations, refused, assumed }),
  }
}

function commonFacts({
  at,
  explanations,
  refused,
  assumed,
}: Pick<Fate, 'at' | 'explanations' | 'assumed'> & { readonly refused: string | undefined }) {
  return {
    at: cite(at),
    ...(refused !== undefined && { refused }),
    ...(assumed.length > 0 && { assumed }),
    because: explanations.map(({ did, what, subject, because }) => ({
      did,
      what,
      subject,
      by: cite(because.cause.at),
      command: because.cause.command,
      reason: because.reason,
      cure: because.cause.cure,
    })),
  }
}

function misuse(message: string): PosternError {
  return new PosternError('POSTERN_MISUSE', message, { side: 'us', retry: 'never' })
}
