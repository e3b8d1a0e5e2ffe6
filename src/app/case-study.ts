/** The story of 2001, told on running machines: mail stops, is explained, and flows again. */
import { show, text, upper } from '../base/bytes.ts'
import { cite } from '../base/problem.ts'
import { sayDuration } from '../base/time.ts'
import type { Altered } from '../firewall/event.ts'
import { now } from '../io/clock.ts'
import { dial } from '../io/sockets.ts'
import { compare, type Expectation, expected, type Line, line, type Step } from '../lab/story.ts'
import { formatMailbox } from '../smtp/address.ts'
import { keywordOf } from '../smtp/capabilities.ts'
import type { SpoolEntry } from '../spool/entry.ts'
import { Lab, type LabFiles } from './lab.ts'
import type { MtaEvents } from './mta-world.ts'
import { type Arrival, Story, type Telling } from './story.ts'
import { converse } from './submission.ts'

/** What the first dialogue showed: both ends of it. */
interface Dialogue {
  readonly saidGreeting: string
  readonly heardGreeting: string
  readonly saidEhlo: string
  readonly heardEhlo: string
  /** What mail-b answered to what it heard first, and what mail-a heard of that, line by line. */
  readonly answered: readonly string[]
  readonly offered: readonly string[]
}

/** What is different when another box stands at site B. */
interface Box {
  /** As people call what it does. */
  readonly name: string
  readonly cure: string
  /** The line that would change what became of this, by its name. */
  readonly cures: (subject: string) => string
  /** What shows at the firewall that it is so. */
  readonly look?: string
  /** How it shows itself in the first dialogue. */
  readonly shows: (dialogue: Dialogue) => readonly Expectation[]
  /** Verbs that are named among what is missed. */
  readonly misses: readonly string[]
  /** What an EHLO is answered on a connection that was open before the cure. */
  readonly keeps: (answer: readonly string[]) => boolean
  /** What a connection made after the cure hears. */
  readonly frees: (dialogue: { readonly greeting: string; readonly offered: readonly string[] }) => Expectation
}

const MAILGUARD: Box = {
  name: 'MailGuard',
  cure: 'no fixup protocol smtp 25',
  cures: () => 'no fixup protocol smtp 25',
  look: 'show fixup',
  misses: ['X-EXPS', 'X-LINK2STATE', 'BDAT'],
  shows: ({ saidGreeting, heardGreeting, saidEhlo, heardEhlo, answered: [refusal = ''] }) => [
    expected(
      'the greeting is masked, and no octet longer or shorter',
      isMasked(saidGreeting, heardGreeting),
      heardGreeting,
    ),
    expected('EHLO reaches mail-b as XXXX', heardEhlo === saidEhlo.replace(/^EHLO/, 'XXXX'), heardEhlo || 'nothing'),
    expected(
      'mail-b refuses the word it heard',
      refusal === `500 5.5.1 Command unrecognized: "${heardEhlo}"` && heardEhlo.startsWith('XXXX'),
      refusal || 'nothing',
    ),
  ],
  keeps: answer => answer[0] === '500 5.5.1 Command unrecognized: "XXXX still-here.example"',
  frees: ({ greeting, offered }) =>
    expected(
      'a new one hears every extension of Exchange 2000',
      greeting.includes('Microsoft ESMTP MAIL Service') &&
        EXTENSIONS.every((keyword, i) => offered[i + 1]?.slice(4) === keyword),
      `${offered.length} lines`,
    ),
}

const FIREBOX: Box = {
  name: 'the SMTP proxy',
  cure: 'watchguard smtp-incoming extension X-EXPS',
  cures: subject => {
    // No proxy that looks into messages can have these.
    if (['TURN', 'ATRN', 'BINARYMIME'].includes(subject)) return 'no watchguard smtp-incoming 25'
    // These are ticked, and narrower than at the server.
    if (subject === 'AUTH') return 'watchguard smtp-incoming auth-type GSSAPI'
    if (subject === 'SIZE') return 'watchguard smtp-incoming message-size 20000k'
    return `watchguard smtp-incoming extension ${subject}`
  },
  misses: ['X-EXPS', 'X-LINK2STATE', 'CHUNKING'],
  shows: ({ saidGreeting, heardGreeting, saidEhlo, heardEhlo, answered, offered }) => [
    expected(
      'the greeting passes as it is',
      saidGreeting.trimEnd() === heardGreeting.trimEnd() && saidGreeting !== '',
      heardGreeting,
    ),
    expected('EHLO reaches mail-b as EHLO', heardEhlo === saidEhlo, heardEhlo || 'nothing'),
    expected(
      'mail-b offers every extension of Exchange 2000',
      LOST_IN_A_FIREBOX.every(keyword => answered.some(line => lists(line, keyword))),
      answered.join(' ') || 'nothing',
    ),
    expected(
      'and mail-a hears of none that the proxy does not know',
      offered.length > 0 && !LOST_IN_A_FIREBOX.some(keyword => offered.some(line => lists(line, keyword))),
      offered.join(' ') || 'nothing',
    ),
  ],
  keeps: answer => answer[0]?.startsWith('250') === true && !answer.some(line => lists(line, 'X-EXPS')),
  frees: ({ greeting, offered }) =>
    expected(
      'a new one hears of X-EXPS, and of nothing else that has no tick',
      greeting.includes('Microsoft ESMTP MAIL Service') &&
        offered.some(each => lists(each, 'X-EXPS')) &&
        !LOST_IN_A_FIREBOX.some(keyword => keyword !== 'X-EXPS' && offered.some(each => lists(each, keyword))),
      offered.join(' ') || 'nothing',
    ),
}

/** Laboratories that tell this story, and what stands at site B in each. */
const BOXES: ReadonlyMap<string, Box> = new Map([
  ['case-study', MAILGUARD],
  ['case-study-firebox', FIREBOX],
])

/** The laboratories that tell this story. */
export const CASE_STUDIES: readonly string[] = [...BOXES.keys()]

/** What was said at one end of a session, in order. */
interface Heard {
  readonly session: string
  readonly direction: 'in' | 'out'
  readonly by: 'C' | 'S'
  readonly text: string
}

export class CaseStudy extends Story {
  readonly #box: Box
  readonly #lines: Map<string, Heard[]>
  readonly #tried: Map<string, Map<string, SpoolEntry>>

  private constructor(
    lab: Lab,
    telling: Telling,
    seen: { lines: Map<string, Heard[]>; tried: Map<string, Map<string, SpoolEntry>> },
  ) {
    super(lab.files.config.name, lab, telling)
    this.#box = BOXES.get(this.name) ?? MAILGUARD
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
        tell: event => {
          if (event.kind !== 'message' || event.news.kind !== 'tried') return
          if (seen.size < MAX_LINES) seen.set(event.entry.id, event.entry)
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
    const [answered, offered] = [answerOf(said), answerOf(heard)]
    const refusal = answered[0] ?? ''
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
        ...(refusal.startsWith('250') ? struckOf(offered) : [line(`mail-b answered   ${refusal}`)]),
        line(''),
        line(`What waits in mail-a's queue, and why:`),
        ...waiting.map(entry => line(`  ${sayEntry(entry)}`)),
        line(`  ${reason}`, 'quiet'),
      ],
      [
        expected('mail-a takes every message', taken === sent.length, `${taken} of ${sent.length}`),
        ...this.#box.shows({ saidGreeting, heardGreeting, saidEhlo, heardEhlo, answered, offered }),
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
        line(`  From security 100 to security 50 is outbound: ${this.#box.name} does not look.`, 'quiet'),
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
    const causes = altered.map(({ explanation }) => explanation.because.cause)
    const cause = causes.find(({ cure }) => cure === this.#box.cure)
    const lost = altered.flatMap(({ explanation }) => explanation.losses)
    this.told(
      'The explanation',
      [
        ...(altered.length === 0 ? [line('fw-b altered nothing.')] : []),
        ...explained(altered),
        ...(lost.length > 0 ? [line('What is missed', 'head')] : []),
        ...lost.map(({ subject, what, felt }) => line(`  ${subject.padEnd(13)} ${what}: ${felt}`)),
        ...(cause ? [line(''), line('What cures it', 'head'), line(`  on fw-b:  ${cause.cure}`, 'good')] : []),
      ],
      [
        expected(
          'the line that did it is named',
          cause !== undefined && causes.every(({ at }) => at.file === cause.at.file && at.line === cause.at.line),
          cause ? `${cite(cause.at)}: ${cause.command}` : 'no line was named',
        ),
        expected(
          'so is what will be missed',
          this.#box.misses.every(verb => lost.some(loss => loss.subject === verb)),
          lost.map(({ subject }) => subject).join(', ') || 'nothing',
        ),
        expected(
          'and the line that cures it',
          altered.every(({ explanation: { subject, because } }) => because.cause.cure === this.#box.cures(subject)),
          [...new Set(causes.map(({ cure }) => cure))].join('; ') || 'none',
        ),
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
    const { cure, keeps, look } = this.#box
    const old = await converse(await dial(door))
    const oldGreeting = await old.hear()
    const typed = await this.lab.type('fw-b', cure)
    const since = now()
    const looked = look === undefined ? [] : (await this.lab.type('fw-b', look)).answer
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
        line(`fw-b(config)# ${cure}`, 'head'),
        ...typed.answer.map(answer => line(answer)),
        ...looked.map(answer => line(`fw-b# ${look}: ${answer}`, 'quiet')),
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
        expected('fw-b takes the line', !typed.wrong, typed.answer.join(' ') || cure),
        expected(
          'an open connection keeps its old treatment',
          keeps(oldAnswer),
          `${oldGreeting[0]?.slice(0, 24)}… / ${oldAnswer[0] ?? 'nothing'}`,
        ),
        this.#box.frees({ greeting: freshGreeting[0] ?? '', offered }),
        expected('mail-a logs in by X-EXPS', loggedIn, loggedIn ? 'X-EXPS LOGIN' : 'no X-EXPS was said'),
        expected('the queue of mail-a is empty', left.length === 0, `${left.length} waiting`),
        expected(
          'every message arrives octet for octet',
          results.length === total && results.every(({ whole }) => whole),
          sum(results),
        ),
        this.#nothingInClear(['MAIL FROM', 'RCPT TO', 'Subject:', 'alice@a.example']),
      ],
      { typed: cure, oldAnswer, offered, arrived: results.map(({ fact }) => fact), waiting: left.length },
    )
  }

  invitation(): readonly string[] {
    return [
      `switch inspection on again:    ./postern lab type fw-b '${undoOf(this.#box.cure)}'`,
      "look at what passes:           ./postern lab type fw-b 'show conn'",
    ]
  }
}

/** What a Firebox's list of ESMTP options has no tick for. */
const LOST_IN_A_FIREBOX = ['X-EXPS', 'X-LINK2STATE', 'XEXCH50', 'CHUNKING', 'BINARYMIME']
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

/** The line that takes another back. */
function undoOf(command: string): string {
  return command.startsWith('no ') ? command.slice('no '.length) : `no ${command}`
}

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

/** The reply to what was said first, line by line. */
function answerOf(heard: readonly Heard[]): readonly string[] {
  const lines = heard.filter(({ by }) => by === 'S').slice(1)
  const next = heard.findIndex(({ by }, i) => by === 'C' && heard.slice(0, i).some(each => each.by === 'C'))
  const last = next < 0 ? lines.length : heard.slice(0, next).filter(({ by }) => by === 'S').length - 1
  return lines.slice(0, last).map(({ text: words }) => words)
}

/** Does a line of an EHLO reply list the keyword? */
function lists(reply: string, keyword: string): boolean {
  return new RegExp(`(^|[ -])${keyword}($|[ =])`).test(reply)
}

/** What mail-b offers, and what of it did not come through. */
function struckOf(offered: readonly string[]): readonly Line[] {
  const came = offered.map(each => upper(each.slice(4)))
  const keywords = new Set(came.map(keywordOf))
  return [
    line('What mail-b offers; what mail-a does not hear of is struck (-), what it hears less of is narrower (~):'),
    ...EXTENSIONS.filter(each => each !== 'OK').map(each => {
      if (!keywords.has(keywordOf(each))) return line(`- ${each}`, 'bad')
      return came.includes(upper(each)) ? line(`  ${each}`) : line(`~ ${each}`, 'bad')
    }),
  ]
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

/** What was altered, before and after, and by which line; keywords that were struck for one reason, together. */
function explained(altered: readonly Altered[]): readonly Line[] {
  const isStruck = ({ explanation: { what, after } }: Altered) => what === 'keyword' && after.length === 0
  const struck = Map.groupBy(altered.filter(isStruck), ({ explanation }) => explanation.because.reason)
  const because = ({ explanation: { because } }: Altered): readonly Line[] => [
    line(`  because of ${cite(because.cause.at)}: ${because.cause.command}`),
    line(`  ${because.reason}`, 'quiet'),
    line(''),
  ]
  const passing = ({
    connection: {
      crossing: { from, to },
    },
  }: Altered) => `passing from ${from.name} (security${from.level}) to ${to.name} (security${to.level})`
  return [
    ...[...struck.values()].flatMap(each => {
      const [one] = each
      if (!one) return []
      const keywords = each.map(({ explanation: { before } }) => line(`- ${show(before)}`, 'bad'))
      return [line(`struck from the EHLO list, ${passing(one)}`, 'head'), ...keywords, ...because(one)]
    }),
    ...altered
      .filter(each => !isStruck(each))
      .flatMap(each => {
        const { what, subject, before, after } = each.explanation
        return [
          line(`${what === 'greeting' ? 'the greeting' : subject}, ${passing(each)}`, 'head'),
          ...compare(['before', show(before)], ['after', show(after)], WIDTH),
          ...because(each),
        ]
      }),
  ]
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
