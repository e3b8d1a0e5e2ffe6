/** The story of 2001, told on running machines: mail stops, is explained, and flows again. */
import { show, text } from '../base/bytes.ts'
import { cite } from '../base/problem.ts'
import { sayDuration } from '../base/time.ts'
import type { Altered } from '../firewall/verdict.ts'
import { now } from '../io/clock.ts'
import { dial } from '../io/sockets.ts'
import { compare, type Expectation, expected, line, type Step } from '../lab/story.ts'
import { formatMailbox } from '../smtp/address.ts'
import type { SpoolEntry } from '../spool/entry.ts'
import { Lab, type LabFiles } from './lab.ts'
import type { MtaEvents } from './mta-world.ts'
import { type Arrival, Story, type Telling } from './story.ts'
import { converse } from './submission.ts'

export const CASE_STUDY = 'case-study'

/** What was said at one end of a session, in order. */
interface Heard {
  readonly session: string
  readonly direction: 'in' | 'out'
  readonly by: 'C' | 'S'
  readonly text: string
}

export class CaseStudy extends Story {
  readonly #lines: Map<string, Heard[]>
  readonly #tried: Map<string, Map<string, SpoolEntry>>

  private constructor(
    lab: Lab,
    telling: Telling,
    seen: { lines: Map<string, Heard[]>; tried: Map<string, Map<string, SpoolEntry>> },
  ) {
    super(CASE_STUDY, lab, telling)
    this.#lines = seen.lines
    this.#tried = seen.tried
  }

  static async begin(files: LabFiles, telling: Telling): Promise<CaseStudy> {
    const lines = new Map<string, Heard[]>()
    const tried = new Map<string, Map<string, SpoolEntry>>()
    const mta = (node: string): MtaEvents => {
      const [heard, seen]: [Heard[], Map<string, SpoolEntry>] = [[], new Map()]
      lines.set(node, heard)
      tried.set(node, seen)
      return {
        line: (session, direction, by, said) => {
          if (heard.length < MAX_LINES) heard.push({ session, direction, by, text: said })
        },
        tried: entry => {
          if (seen.size < MAX_LINES) seen.set(entry.id, entry)
        },
      }
    }
    return new CaseStudy(await Lab.start(files, { mta }), telling, { lines, tried })
  }

  async run(): Promise<readonly Step[]> {
    await this.#inspected()
    await this.#untouched()
    this.#explained()
    await this.#cured()
    return this.steps
  }

  #said(node: string, direction: 'in' | 'out'): readonly Heard[] {
    return this.#lines.get(node)?.filter(each => each.direction === direction) ?? []
  }

  /** One connection at both its ends: several run at once, and each greeting tells the time. */
  #sameSession(client: string, server: string): readonly [readonly Heard[], readonly Heard[]] {
    const [outgoing, incoming] = [this.#said(client, 'out'), this.#said(server, 'in')]
    const heard = outgoing.filter(({ session }) => session === outgoing[0]?.session)
    const greeting = first(heard, 'S')
    const sessions = [...new Set(incoming.map(({ session }) => session))]
    const said = sessions.map(session => incoming.filter(each => each.session === session))
    return [heard, said.find(lines => fits(first(lines, 'S'), greeting)) ?? []]
  }

  /** 1. From site A to site B: through the tunnel into fw-b, from security 50 to 100. */
  async #inspected(): Promise<void> {
    const sent = await this.send('MAIL_A')
    const taken = sent.filter(({ refusal }) => refusal === undefined).length
    const tried = this.#tried.get('mail-a') ?? new Map<string, SpoolEntry>()
    await this.until(() => tried.size >= taken)
    const waiting = await this.mta('mail-a').queue()
    const [heard, said] = this.#sameSession('mail-a', 'mail-b')
    const [saidGreeting, heardGreeting] = [first(said, 'S'), first(heard, 'S')]
    const [saidEhlo, heardEhlo] = [first(heard, 'C'), first(said, 'C')]
    const refusal = said.filter(({ by }) => by === 'S')[1]?.text ?? ''
    const reason = waiting[0] ? lastReason(waiting[0]) : 'nothing waits'
    const mails = this.#said('mail-a', 'out').filter(({ by, text: words }) => by === 'C' && words.startsWith('MAIL '))
    const bypassed = this.gateway('fw-a').passed + this.gateway('fw-a').refused
    this.told(
      'Site A writes to site B: the mail comes out of the tunnel into fw-b, and stops',
      [
        line('What mail-b said, and what mail-a heard of it:'),
        ...compare(['mail-b said', saidGreeting], ['mail-a heard', heardGreeting], WIDTH),
        line(''),
        line('What mail-a said, and what mail-b heard of it:'),
        ...compare(['mail-a said', saidEhlo], ['mail-b heard', heardEhlo], WIDTH),
        line(''),
        line(`mail-b answered   ${refusal}`),
        line(''),
        line(`What waits in mail-a's queue, and why:`),
        ...waiting.map(entry => line(`  ${sayEntry(entry)}`)),
        line(`  ${reason}`, 'quiet'),
      ],
      [
        expected('mail-a takes every message', taken === sent.length, `${taken} of ${sent.length}`),
        expected(
          'the greeting is masked, and no octet longer or shorter',
          isMasked(saidGreeting, heardGreeting),
          heardGreeting,
        ),
        expected(
          'EHLO reaches mail-b as XXXX',
          heardEhlo === saidEhlo.replace(/^EHLO/, 'XXXX'),
          heardEhlo || 'nothing',
        ),
        expected(
          'mail-b refuses the word it heard',
          refusal === `500 5.5.1 Command unrecognized: "${heardEhlo}"` && heardEhlo.startsWith('XXXX'),
          refusal || 'nothing',
        ),
        expected('no MAIL is sent without X-EXPS', mails.length === 0, `${mails.length} MAIL commands`),
        expected(
          'every message waits in the queue, which says why',
          waiting.length === taken && waiting.every(entry => lastReason(entry).includes('4.7.0')),
          `${waiting.length} waiting: ${reason}`,
        ),
        expected('fw-a is not on the way', bypassed === 0, `${bypassed} connections seen by fw-a`),
        this.#nothingInClear(['EHLO', 'XXXX', 'mail-a.a.example']),
      ],
      {
        saidGreeting,
        heardGreeting,
        saidEhlo,
        heardEhlo,
        refusal,
        queue: waiting.map(entry => ({ id: entry.id, size: entry.size, reason: lastReason(entry) })),
      },
    )
  }

  #nothingInClear(words: readonly string[]): Expectation {
    const seen = this.lab.taps.reduce((sum, tap) => sum + tap.seen, 0)
    const read = words.filter(word => this.lab.taps.some(tap => tap.holds(word)))
    const found = read.length > 0 ? `in clear: ${read.join(', ')}` : `${seen} octets crossed, none of them readable`
    return expected('nothing crosses the internet in clear', seen > 0 && read.length === 0, found)
  }

  /** 2. From site B to site A: from security 100 to 50, which is outbound. */
  async #untouched(): Promise<void> {
    const before = this.gateway('fw-b').altered.length
    const sent = await this.send('MAIL_B')
    const results = await this.arrivals('MAIL_B')
    const heard = this.#said('mail-b', 'out')
    const altered = this.gateway('fw-b').altered.length - before
    const greeting = first(heard, 'S')
    this.told(
      'Site B answers site A: through the same firewall the other way, and it arrives',
      [
        line(`mail-b heard   ${greeting}`),
        line(`mail-b said    ${first(heard, 'C')}`),
        line(''),
        ...results.map(({ said }) => line(`  ${said}`)),
        line('  From security 100 to security 50 is outbound: MailGuard does not look.', 'quiet'),
      ],
      [
        expected(
          'the greeting passes as it is',
          greeting.startsWith('220 mail-a.a.example Microsoft ESMTP MAIL Service'),
          greeting || 'nothing was heard',
        ),
        expected('fw-b alters nothing on this way', altered === 0, `${altered} alterations`),
        expected(
          'the mail arrives octet for octet',
          results.length === sent.length && results.every(({ whole }) => whole),
          sum(results),
        ),
      ],
      { greeting, arrived: results.map(({ fact }) => fact) },
    )
  }

  /** 3. Which line of which file did it. */
  #explained(): void {
    const altered = distinct(this.gateway('fw-b').altered)
    const cause = altered[0]?.explanation.because.cause
    const lost = altered.flatMap(({ explanation }) => explanation.losses)
    this.told(
      'The explanation',
      [
        ...(altered.length === 0 ? [line('fw-b altered nothing.')] : []),
        ...altered.flatMap(({ crossing: { from, to }, explanation: { what, subject, before, after, because } }) => [
          line(
            `${what === 'greeting' ? 'the greeting' : subject}, passing from ${from.name} (security${from.level}) to ${to.name} (security${to.level})`,
            'head',
          ),
          ...compare(['before', show(before)], ['after', show(after)], WIDTH),
          line(`  because of ${cite(because.cause.at)}: ${because.cause.command}`),
          line(`  ${because.reason}`, 'quiet'),
          line(''),
        ]),
        ...(lost.length > 0 ? [line('What is missed', 'head')] : []),
        ...lost.map(({ subject, what, felt }) => line(`  ${subject.padEnd(13)} ${what}: ${felt}`)),
        ...(cause ? [line(''), line('What cures it', 'head'), line(`  on fw-b:  ${cause.cure}`, 'good')] : []),
      ],
      [
        expected(
          'the line that did it is named',
          cause?.command.startsWith('fixup protocol smtp') === true,
          cause ? `${cite(cause.at)}: ${cause.command}` : 'no line was named',
        ),
        expected(
          'so is what will be missed',
          ['X-EXPS', 'X-LINK2STATE', 'BDAT'].every(verb => lost.some(loss => loss.subject === verb)),
          lost.map(({ subject }) => subject).join(', ') || 'nothing',
        ),
        expected('and the line that cures it', cause?.cure === CURE, cause?.cure ?? 'none'),
      ],
      {
        alterations: altered.map(({ explanation: { what, subject, before, after, because } }) => ({
          what,
          subject,
          before: text(before),
          after: text(after),
          rule: cite(because.cause.at),
          command: because.cause.command,
          cure: because.cause.cure,
        })),
        losses: lost,
      },
    )
  }

  /** 4. `no fixup protocol smtp 25`. */
  async #cured(): Promise<void> {
    const door = this.lab.entries.get('FW_B_VPN')
    if (!door) throw new Error('the case study needs the entry FW_B_VPN')
    const old = await converse(await dial(door))
    const oldGreeting = await old.hear()
    const typed = await this.lab.type('fw-b', CURE)
    const since = now()
    const fixups = await this.lab.type('fw-b', 'show fixup')
    const oldAnswer = await old.ask('EHLO still-here.example')
    old.close()
    const fresh = await converse(await dial(door))
    const freshGreeting = await fresh.hear()
    const offered = await fresh.ask('EHLO new-here.example')
    fresh.close()
    const results = await this.arrivals('MAIL_A')
    const took = now() - since
    const left = await this.mta('mail-a').queue()
    const heard = this.#said('mail-a', 'out')
    const loggedIn = heard.some(({ by, text: said }) => by === 'C' && said === 'X-EXPS LOGIN')
    const total = this.letters.find(({ folder }) => folder.entry === 'MAIL_A')?.letters.length ?? 0
    this.told(
      'The cure: one line, typed at the running fw-b',
      [
        line(`fw-b(config)# ${CURE}`, 'head'),
        ...typed.answer.map(answer => line(answer)),
        ...fixups.answer.map(answer => line(`fw-b# show fixup: ${answer}`, 'quiet')),
        line(''),
        line('A connection that was open before keeps its old treatment:'),
        line(`  EHLO  ->  ${oldAnswer[0] ?? 'nothing'}`, 'bad'),
        line('A new one passes:'),
        ...offered.map(each => line(`  ${each}`, 'good')),
        line(''),
        line(`mail-a tries again by itself, logs in by X-EXPS, and ${sayDuration(took)} later:`),
        ...results.map(({ said }) => line(`  ${said}`)),
      ],
      [
        expected('fw-b takes the line', !typed.wrong, typed.answer.join(' ') || CURE),
        expected(
          'an open connection keeps its old treatment',
          oldAnswer[0] === '500 5.5.1 Command unrecognized: "XXXX still-here.example"',
          `${oldGreeting[0]?.slice(0, 24)}… / ${oldAnswer[0] ?? 'nothing'}`,
        ),
        expected(
          'a new one hears every extension of Exchange 2000',
          freshGreeting[0]?.includes('Microsoft ESMTP MAIL Service') === true &&
            EXTENSIONS.every((keyword, i) => offered[i + 1]?.slice(4) === keyword),
          `${offered.length} lines`,
        ),
        expected('mail-a logs in by X-EXPS', loggedIn, loggedIn ? 'X-EXPS LOGIN' : 'no X-EXPS was said'),
        expected('the queue of mail-a is empty', left.length === 0, `${left.length} waiting`),
        expected(
          'every message arrives octet for octet',
          results.length === total && results.every(({ whole }) => whole),
          sum(results),
        ),
        this.#nothingInClear(['MAIL FROM', 'RCPT TO', 'Subject:', 'alice@a.example']),
      ],
      { typed: CURE, oldAnswer, offered, arrived: results.map(({ fact }) => fact), waiting: left.length },
    )
  }

  invitation(): readonly string[] {
    return [
      "switch inspection on again:    ./postern lab type fw-b 'fixup protocol smtp 25'",
      "look at what passes:           ./postern lab type fw-b 'show conn'",
    ]
  }
}

const CURE = 'no fixup protocol smtp 25'
/** Columns for what was said. */
const WIDTH = 64
/** Lines kept of what each server said and heard. */
const MAX_LINES = 10_000

/** The study's own list, word for word. */
const EXTENSIONS = [
  'TURN',
  'ATRN',
  'SIZE',
  'ETRN',
  'PIPELINING',
  'DSN',
  'ENHANCEDSTATUSCODES',
  '8bitmime',
  'BINARYMIME',
  'CHUNKING',
  'VRFY',
  'X-EXPS GSSAPI NTLM LOGIN',
  'X-EXPS=LOGIN',
  'AUTH GSSAPI NTLM LOGIN',
  'AUTH=LOGIN',
  'X-LINK2STATE',
  'XEXCH50',
  'OK',
]

function first(heard: readonly Heard[], by: 'C' | 'S'): string {
  return heard.find(each => each.by === by)?.text ?? ''
}

/** Could this have been heard of that? Whatever is not a star must be what was said. */
function fits(said: string, heard: string): boolean {
  return said.length === heard.length && [...heard].every((c, i) => c === '*' || c === said[i])
}

/** As long as what was said, and of its text nothing but 2, 0, space and stars. */
function isMasked(said: string, heard: string): boolean {
  return said !== '' && said !== heard && said.length === heard.length && /^220 [*20 ]+$/.test(heard)
}

function lastReason({ trail }: SpoolEntry): string {
  return trail[trail.length - 1]?.what ?? ''
}

function sayEntry({ id, size, envelope, recipients }: SpoolEntry): string {
  const to = envelope.recipients.map(each => formatMailbox(each.to)).join(', ')
  const state = recipients[0]
  const attempts = state?.kind === 'waiting' ? state.attempts : 0
  return `${id}  ${String(size).padStart(9)} octets  to ${to}  tried ${attempts === 1 ? 'once' : `${attempts} times`}`
}

function sum(results: readonly Arrival[]): string {
  return `${results.filter(({ whole }) => whole).length} of ${results.length} the same by sha256`
}

/** One of each kind of alteration: the same EHLO was masked for every message. */
function distinct(altered: readonly Altered[]): readonly Altered[] {
  const seen = new Map<string, Altered>()
  for (const each of altered) {
    const { what, subject } = each.explanation
    const key = `${what} ${subject}`
    if (!seen.has(key)) seen.set(key, each)
  }
  return [...seen.values()]
}
