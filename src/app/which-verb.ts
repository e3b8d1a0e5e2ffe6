/** The question that the study of 2001 left open, answered by experiment: which verb is it whose loss stops what? */
import { bytes, concat } from '../base/bytes.ts'
import type { Policy } from '../firewall/policy.ts'
import { readMaildir } from '../io/maildir.ts'
import { expected, line, type Step } from '../lab/story.ts'
import { withoutTrace } from '../mail/trace.ts'
import { formatMailbox } from '../smtp/address.ts'
import { Lab, type LabFiles } from './lab.ts'
import type { MtaEvents } from './mta-world.ts'
import { Story, type Telling } from './story.ts'
import { submit } from './submission.ts'

export const WHICH_VERB = 'which-verb'

/** Each is masked alone, in all that passes between the bridgeheads. */
const VERBS = [
  'EHLO',
  'HELO',
  'X-EXPS',
  'AUTH',
  'X-LINK2STATE',
  'XEXCH50',
  'DATA',
  'MAIL',
  'RCPT',
  'RSET',
  'NOOP',
  'VRFY',
  'ETRN',
  'TURN',
  'ATRN',
  'HELP',
  'QUIT',
  // The last, for it is remembered: from here on mail goes by DATA.
  'BDAT',
] as const

/** A pair of bridgeheads, by the entry through which its mail comes. */
const PAIRS = [
  { entry: 'MAIL_A', from: 'mail-a', to: 'mail-b', means: 'login required' },
  { entry: 'MAIL_C', from: 'mail-c', to: 'mail-d', means: 'login where possible' },
] as const
type Pair = (typeof PAIRS)[number]

type MailFate = 'flows' | 'arrives changed' | 'waits' | 'is returned'

interface Row {
  readonly verb: string
  readonly required: MailFate
  readonly possible: MailFate
  readonly routing: 'flows' | 'goes stale'
  readonly why: string
}

/** What the experiment found when it was made, and must find again. */
const EXPECTED: Readonly<Record<string, readonly [required: MailFate, possible: MailFate, routing: Row['routing']]>> = {
  none: ['flows', 'flows', 'flows'],
  EHLO: ['waits', 'arrives changed', 'goes stale'],
  'X-EXPS': ['waits', 'flows', 'goes stale'],
  'X-LINK2STATE': ['flows', 'flows', 'goes stale'],
  // BDAT is done without: there is DATA. A 500 to any other command of the transaction is an answer to the message.
  MAIL: ['is returned', 'is returned', 'flows'],
  RCPT: ['is returned', 'is returned', 'flows'],
}

export class WhichVerb extends Story {
  readonly #tried: ReadonlyMap<string, string>
  readonly #mask: (verb: string | undefined) => void

  private constructor(
    lab: Lab,
    telling: Telling,
    { tried, mask }: { readonly tried: ReadonlyMap<string, string>; readonly mask: (verb: string | undefined) => void },
  ) {
    super(WHICH_VERB, lab, telling)
    this.#tried = tried
    this.#mask = mask
  }

  static async begin(files: LabFiles, telling: Telling): Promise<WhichVerb> {
    const tried = new Map<string, string>()
    let masked: string | undefined
    const mta = (node: string): MtaEvents => ({
      tell: event => {
        if (event.kind !== 'message' || event.news.kind !== 'tried') return
        const { id, recipients, trail } = event.entry
        const what = trail[trail.length - 1]?.what ?? ''
        tried.set(`${node} ${id}`, `${recipients[0]?.kind === 'waiting' ? 'waits' : 'done'} ${what}`)
      },
    })
    const between = () => (masked === undefined ? undefined : masking(masked))
    const mask = (verb: string | undefined) => {
      masked = verb
    }
    return new WhichVerb(await Lab.start(files, { mta, between }), telling, { tried, mask })
  }

  async run(): Promise<readonly Step[]> {
    const rows: Row[] = []
    for (const verb of [undefined, ...VERBS]) rows.push(await this.#try(verb))
    const odd = rows.filter(
      ({ verb, required, possible, routing }) =>
        EXPECTED[verb] === undefined && [required, possible, routing].some(each => each !== 'flows'),
    )
    const cell = (text: string, width = 17) => text.padEnd(width)
    const head = [cell('masked', 14), ...PAIRS.map(({ means }) => cell(`mail, ${means}`, 27)), 'routing state'].join('')
    this.told(
      'Each verb is masked alone between two bridgeheads',
      [
        line(head, 'head'),
        ...rows.map(({ verb, required, possible, routing }) =>
          line(
            `${cell(verb, 14)}${cell(required, 27)}${cell(possible, 27)}${routing}`,
            routing === 'flows' && required === 'flows' && possible === 'flows' ? 'quiet' : 'bad',
          ),
        ),
        line(''),
        ...rows.filter(({ why }) => why !== '').map(({ verb, why }) => line(`${cell(verb, 14)}${why}`, 'quiet')),
      ],
      [
        ...Object.entries(EXPECTED).map(([verb, [required, possible, routing]]) => {
          const found = rows.find(row => row.verb === verb)
          const held = found?.required === required && found.possible === possible && found.routing === routing
          const name = `${verb}: mail ${required}, ${possible} without a required login, routing state ${routing}`
          return expected(name, held, found ? `${found.required}, ${found.possible}, ${found.routing}` : 'nothing')
        }),
        expected(
          'no other verb is missed',
          odd.length === 0,
          odd.map(({ verb, required, possible }) => `${verb}: ${required}, ${possible}`).join('; ') || 'none',
        ),
      ],
      { rows },
    )
    return this.steps
  }

  invitation(): readonly string[] {
    return ['compare what two know:         ./postern linkstate diff mail-a mail-b']
  }

  async #try(verb: string | undefined): Promise<Row> {
    this.#mask(undefined)
    await this.until(() => PAIRS.every(pair => this.#isInStep(pair)))
    this.#mask(verb)
    for (const { from } of PAIRS) this.mta(from).routing.republish()
    const [required, possible] = await Promise.all(PAIRS.map(pair => this.#send(pair, verb ?? 'none')))
    const pairs = PAIRS.map(({ from }) => this.mta(from).routing)
    await this.until(() => PAIRS.every((pair, i) => this.#isInStep(pair) || (pairs[i]?.apart.size ?? 0) > 0))
    const routing = PAIRS.every(pair => this.#isInStep(pair)) ? 'flows' : 'goes stale'
    const why = routing === 'flows' ? '' : ([...(pairs[0]?.apart.values() ?? [])][0] ?? '')
    return {
      verb: verb ?? 'none',
      required: required?.fate ?? 'waits',
      possible: possible?.fate ?? 'waits',
      routing,
      why: required?.why || why,
    }
  }

  #isInStep({ from, to }: Pair): boolean {
    const [one, other] = [from, to].map(node => this.mta(node).routing)
    return one?.service.engine.digest === other?.service.engine.digest && one?.apart.size === 0
  }

  async #send({ entry, from }: Pair, verb: string): Promise<{ readonly fate: MailFate; readonly why: string }> {
    const letters = this.letters.find(({ folder }) => folder.entry === entry)
    const at = this.lab.entries.get(entry)
    const [letter] = letters?.letters ?? []
    if (!letters || !at || !letter) throw new Error(`the story ${WHICH_VERB} needs mail for the entry ${entry}`)
    const mark = `X-Masked: ${verb}\r\n`
    const content = concat([bytes(mark), letter.content])
    const before = new Set(this.#tried.keys())
    const refusal = await submit(at, letters.folder, content)
    if (refusal !== undefined) throw new Error(`${from} does not take the message: ${refusal}`)
    // `undefined` while nobody has tried it.
    const verdict = () => [...this.#tried].find(([key]) => key.startsWith(`${from} `) && !before.has(key))?.[1]
    const maildir = this.lab.maildir(formatMailbox(letters.folder.to))
    const arrived = async () =>
      (await readMaildir(maildir)).find(each => each.toString('latin1').includes(`\r\n${mark}`))
    await this.until(async () => verdict()?.startsWith('waits') === true || (await this.#isOver(verdict(), arrived)))
    const found = await arrived()
    if (found) return { fate: 'gained' in withoutTrace(found, content) ? 'flows' : 'arrives changed', why: '' }
    const said = verdict() ?? ''
    const why = said.replace(/^\S+ /, '').replace(/; next try.*$/, '')
    return { fate: said.startsWith('done') ? 'is returned' : 'waits', why }
  }

  /** Has it arrived, or did the attempt end for good? */
  async #isOver(verdict: string | undefined, arrived: () => Promise<Uint8Array | undefined>): Promise<boolean> {
    if ((await arrived()) !== undefined) return true
    return verdict?.startsWith('done') === true && verdict.includes('failed')
  }
}

/** A box that knows every verb but one. */
function masking(verb: string): Policy {
  const at = { file: WHICH_VERB, line: 1, column: 1, length: 1, text: '' }
  return {
    name: `a box that masks ${verb}`,
    engine: { kind: 'in-place', dataFirstBug: false },
    rules: [
      {
        match: { on: 'word', what: 'verb', in: new Set([verb]) },
        action: { kind: 'mask', how: 'x-verb' },
        reason: `${verb} is masked`,
      },
    ],
    directions: new Set(['inbound', 'outbound', 'lateral']),
    cause: { at, command: `mask ${verb}`, cure: `let ${verb} through` },
  }
}
