/** Four routing groups in a ring: what each knows of the others decides which way mail goes, and whether it arrives. */
import { bytes } from '../base/bytes.ts'
import { now } from '../io/clock.ts'
import { readMaildir } from '../io/maildir.ts'
import { expected, type Line, line, type Step } from '../lab/story.ts'
import { differences, type Guid } from '../routing/link-state.ts'
import { diffLines, namesOf } from '../routing/report.ts'
import { formatMailbox, type Mailbox } from '../smtp/address.ts'
import { Lab, type LabFiles } from './lab.ts'
import type { MtaEvents } from './mta-world.ts'
import { Story, type Telling } from './story.ts'
import { submit } from './submission.ts'

export const FOUR_SITES = 'four-sites'

const SERVERS = ['mail-a', 'mail-b', 'mail-c', 'mail-d'] as const
/** A member of group A that no other site talks to. */
const MEMBER = 'mail-a2'
const FIREWALLS = ['fw-a', 'fw-b'] as const
const GUARD = 'fixup protocol smtp 25'
/** Notes kept of what each server had to say. */
const MAX_NOTES = 10_000

interface Note {
  readonly node: string
  readonly what: string
}

export class FourSites extends Story {
  readonly #notes: Note[]

  private constructor(lab: Lab, telling: Telling, notes: Note[]) {
    super(FOUR_SITES, lab, telling)
    this.#notes = notes
  }

  static async begin(files: LabFiles, telling: Telling): Promise<FourSites> {
    const notes: Note[] = []
    const mta = (node: string): MtaEvents => ({
      note: what => {
        if (notes.length < MAX_NOTES) notes.push({ node, what })
      },
    })
    return new FourSites(await Lab.start(files, { mta }), telling, notes)
  }

  async run(): Promise<readonly Step[]> {
    await this.#allUp()
    await this.#oneCut()
    await this.#bothCut()
    await this.#healed()
    await this.#guarded()
    await this.#cured()
    return this.steps
  }

  invitation(): readonly string[] {
    return [
      'cut a link, and mend it:       ./postern lab cut link-bc    ./postern lab heal link-bc',
      'ask which way mail goes:       ./postern route explain carol@c.example --node mail-a',
      'look at what a server knows:   ./postern linkstate show --node mail-a',
      'compare what two know:         ./postern linkstate diff mail-a mail-b',
      `put MailGuard between A and B: ./postern lab type fw-a '${GUARD}'    and the same at fw-b`,
    ]
  }

  // ── what is known ────────────────────────────────────────────────────────────────────────────────────────────────

  #digestOf(node: string): string {
    return this.mta(node).routing.service.engine.digest
  }

  get #agree(): boolean {
    return new Set(SERVERS.map(node => this.#digestOf(node))).size === 1
  }

  /** Does the member of A know what its master knows? */
  get #isTold(): boolean {
    return this.#digestOf(MEMBER) === this.#digestOf('mail-a')
  }

  /** `A > B > C at 20`, as a server knows it now. */
  #way(node: string, to: Mailbox): string {
    const { service, names } = this.mta(node).routing
    const found = service.route({ to }, now())
    if (found.kind === 'unreachable') return 'none'
    const path = found.path.map((group: Guid) => names.get(group)).join(' > ')
    return `${found.kind === 'hold' ? 'waits for ' : ''}${path} at ${found.cost}`
  }

  #digestLines(): readonly Line[] {
    return SERVERS.map(node => {
      const digest = this.#digestOf(node)
      return line(`  ${node}  ${digest}`, digest === this.#digestOf('mail-a') ? 'quiet' : 'bad')
    })
  }

  /** Is every connector up, as all of them know it? */
  get #isWhole(): boolean {
    const { table } = this.mta('mail-a').routing.service.engine
    return this.#agree && table.every(({ connectors }) => connectors.every(({ state }) => state === 'up'))
  }

  #newsSince(from: number): readonly Line[] {
    return this.#notes
      .slice(from)
      .filter(({ what }) => what.startsWith('routing: published'))
      .map(({ node, what }) => line(`  ${node} ${what.slice('routing: '.length)}`))
  }

  get #recipient(): Mailbox {
    const to = this.letters[0]?.folder.to
    if (!to) throw new Error('the story four-sites needs mail')
    return to
  }

  // ── mail ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Alice writes to Carol. Gives why mail-a did not take it, or nothing. */
  async #write(subject: string): Promise<string | undefined> {
    const folder = this.letters[0]?.folder
    const at = this.lab.entries.get('MAIL_A')
    if (!folder || !at) throw new Error('the story four-sites needs mail for the entry MAIL_A')
    return submit(at, folder, bytes(`Subject: ${subject}\r\n\r\nWhich road did this take?\r\n`))
  }

  /** By which servers it came, first to last; nothing while it has not arrived. */
  async #road(subject: string): Promise<readonly string[] | undefined> {
    const mails = await readMaildir(this.lab.maildir(formatMailbox(this.#recipient)))
    const found = mails.map(each => each.toString('latin1')).find(each => each.includes(`\r\nSubject: ${subject}\r\n`))
    if (found === undefined) return undefined
    return [...found.matchAll(/^Received: .*?by (mail-[a-d])/gms)].map(([, host]) => host ?? '').reverse()
  }

  async #arrival(subject: string): Promise<{ readonly road: string; readonly took: string }> {
    const took = await this.until(async () => (await this.#road(subject)) !== undefined)
    return { road: (await this.#road(subject))?.join(' > ') ?? 'has not arrived', took }
  }

  async #waiting(): Promise<readonly { readonly node: string; readonly why: string }[]> {
    const all = await Promise.all(
      SERVERS.map(async node =>
        (await this.mta(node).queue()).map(({ trail }) => ({ node, why: trail[trail.length - 1]?.what ?? '' })),
      ),
    )
    return all.flat()
  }

  // ── the story ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** 1. */
  async #allUp(): Promise<void> {
    const converged = await this.until(
      () => this.#isWhole && this.#isTold && this.#way('mail-a', this.#recipient) === 'A > B > C at 20',
    )
    const sent = await this.send('MAIL_A')
    const results = await this.arrivals('MAIL_A')
    const taken = sent.filter(({ refusal }) => refusal === undefined).length
    const refusal = await this.#write('one')
    const { road } = await this.#arrival('one')
    this.told(
      'All links are up: each server was told of its own connectors, and learns the rest',
      [
        line(`After ${converged} all four have one table. Its digest:`),
        ...this.#digestLines(),
        line(''),
        line(`${MEMBER}, a member of group A without a connector, has the same from its master, mail-a, by TCP 691.`),
        line(`mail-a sends to C by ${this.#way('mail-a', this.#recipient)}:`),
        ...results.map(({ said }) => line(`  ${said}`)),
        line(`  one  ${road}`),
      ],
      [
        expected(
          'four tables are one',
          this.#agree,
          `${new Set(SERVERS.map(node => this.#digestOf(node))).size} digests`,
        ),
        expected('the member of A has it from its master', this.#isTold, this.#digestOf(MEMBER)),
        expected(
          'A knows of the connectors between B and C from the network',
          this.#way('mail-a', this.#recipient) === 'A > B > C at 20',
          this.#way('mail-a', this.#recipient),
        ),
        expected(
          'mail arrives octet for octet',
          taken > 0 && refusal === undefined && results.length === taken && results.every(({ whole }) => whole),
          `${results.filter(({ whole }) => whole).length} of ${sent.length}`,
        ),
        expected('by the cheapest way', road === 'mail-a > mail-b > mail-c', road),
      ],
      { digest: this.#digestOf('mail-a'), way: this.#way('mail-a', this.#recipient), road },
    )
  }

  /** 2. */
  async #oneCut(): Promise<void> {
    const before = this.#notes.length
    this.lab.cut('link-bc')
    await this.#write('two')
    const { road, took } = await this.#arrival('two')
    const spread = await this.until(
      () => this.#agree && this.#isTold && this.#way('mail-a', this.#recipient) === 'A > D > C at 25',
    )
    await this.#write('three')
    const next = await this.#arrival('three')
    this.told(
      'link-bc is cut: the news spreads, and mail goes round',
      [
        line('lab cut link-bc', 'head'),
        ...this.#newsSince(before),
        line(''),
        line(`two    was at mail-b when the link was found down, and came by  ${road}  (${took})`),
        line(`three  was written ${spread} after that, and came by            ${next.road}`),
        line(
          `mail-a sends to C by ${this.#way('mail-a', this.#recipient)} now. The queue would have tried again in 30m.`,
          'quiet',
        ),
      ],
      [
        expected('what was under way is sent round', road === 'mail-a > mail-b > mail-a > mail-d > mail-c', road),
        expected(
          'A knows that B cannot reach C',
          this.#way('mail-a', this.#recipient) === 'A > D > C at 25',
          this.#way('mail-a', this.#recipient),
        ),
        expected('new mail does not try the broken way', next.road === 'mail-a > mail-d > mail-c', next.road),
        expected('four tables are one again', this.#agree, 'they differ'),
        expected(
          'the member of A knows it, too',
          this.#way(MEMBER, this.#recipient) === 'A > D > C at 25',
          this.#way(MEMBER, this.#recipient),
        ),
      ],
      { way: this.#way('mail-a', this.#recipient), roads: { two: road, three: next.road } },
    )
  }

  /** 3. */
  async #bothCut(): Promise<void> {
    const before = this.#notes.length
    this.lab.cut('link-dc')
    await this.#write('four')
    const holds = () => this.#way('mail-a', this.#recipient).startsWith('waits')
    await this.until(holds)
    await this.#write('five')
    await this.until(async () => {
      const all = await this.#waiting()
      return all.length === 2 && all.every(({ why }) => why.includes('deferred'))
    })
    const waiting = await this.#waiting()
    const arrived = [await this.#road('four'), await this.#road('five')].filter(each => each !== undefined)
    this.told(
      'link-dc is cut as well: no way to C is left, and mail waits',
      [
        line('lab cut link-dc', 'head'),
        ...this.#newsSince(before),
        line(''),
        line(`mail-a: ${this.#way('mail-a', this.#recipient)}`),
        line('What waits, and where:'),
        ...waiting.map(({ node, why }) => line(`  ${node}  ${why}`, 'quiet')),
      ],
      [
        expected('A knows that no way is open', holds(), this.#way('mail-a', this.#recipient)),
        expected(
          'both messages wait, and none is lost',
          waiting.length === 2 && arrived.length === 0,
          `${waiting.length} waiting`,
        ),
        expected(
          'what was written last waits where it was written',
          waiting.some(({ node, why }) => node === 'mail-a' && why.includes('no way to c.example is open')),
          waiting.map(({ node, why }) => `${node}: ${why}`).join('; '),
        ),
      ],
      { way: this.#way('mail-a', this.#recipient), waiting },
    )
  }

  /** 4. */
  async #healed(): Promise<void> {
    const before = this.#notes.length
    this.lab.heal('link-bc')
    this.lab.heal('link-dc')
    const four = await this.#arrival('four')
    const five = await this.#arrival('five')
    await this.until(() => this.#isWhole && this.#way('mail-a', this.#recipient) === 'A > B > C at 20')
    const waiting = await this.#waiting()
    this.told(
      'Both are mended: what waited goes by itself',
      [
        line('lab heal link-bc    lab heal link-dc', 'head'),
        ...this.#newsSince(before),
        line(''),
        line(`four   came by  ${four.road}`),
        line(`five   came by  ${five.road}  after ${five.took}`),
      ],
      [
        expected(
          'everything arrives',
          four.road.endsWith('mail-c') && five.road.endsWith('mail-c'),
          `${four.road}; ${five.road}`,
        ),
        expected('nothing waits', waiting.length === 0, `${waiting.length} waiting`),
        expected(
          'the cheapest way is taken again',
          this.#way('mail-a', this.#recipient) === 'A > B > C at 20',
          this.#way('mail-a', this.#recipient),
        ),
      ],
      { roads: { four: four.road, five: five.road } },
    )
  }

  /** 5. */
  async #guarded(): Promise<void> {
    const typed = await Promise.all(FIREWALLS.map(node => this.lab.type(node, GUARD)))
    const before = this.#notes.length
    this.lab.cut('link-bc')
    const loop = () => this.#notes.slice(before).find(({ what }) => what.startsWith('alarm: mail for'))
    await this.#write('six')
    await this.until(() => loop() !== undefined)
    const alarm = loop()
    const [ours, theirs] = (['mail-a', 'mail-b'] as const).map(node => this.mta(node).routing.service.engine.table)
    const found = differences(ours ?? [], theirs ?? [])
    const name = namesOf({ names: this.mta('mail-a').routing.names })
    const stale = this.#way('mail-a', this.#recipient)
    const [heard] = this.#notes.slice(before).filter(({ what }) => what.startsWith('routing state with connector A-B'))
    const road = await this.#road('six')
    this.told(
      'MailGuard between A and B, and link-bc is cut again: mail passes, news does not',
      [
        line(`fw-a(config)# ${GUARD}    fw-b(config)# ${GUARD}    lab cut link-bc`, 'head'),
        line(`mail-a on what it could tell mail-b: ${heard?.what ?? 'nothing'}`, 'quiet'),
        line(''),
        line('The digests:'),
        ...this.#digestLines(),
        line(''),
        line('linkstate diff mail-a mail-b', 'head'),
        ...diffLines(found, name).map(each => line(`  ${each}`, 'bad')),
        line(''),
        line(`A sends by    ${stale}`, 'bad'),
        line(`B sends by    ${this.#way('mail-b', this.#recipient)}`, 'bad'),
        line('So each sends the message to the other, until somebody has counted enough:'),
        line(`  ${alarm?.node ?? 'nobody'}: ${alarm?.what ?? 'no alarm'}`, 'quiet'),
      ],
      [
        expected(
          'both firewalls take the line',
          typed.every(({ wrong }) => !wrong),
          typed.flatMap(({ answer }) => answer).join(' '),
        ),
        expected(
          'the tables of A and B differ about B',
          found.some(({ group }) => name(group) === 'B'),
          diffLines(found, name).join('; '),
        ),
        expected(
          'and the digests show it',
          this.#digestOf('mail-a') !== this.#digestOf('mail-b'),
          this.#digestOf('mail-a'),
        ),
        expected('A takes the dead road', stale === 'A > B > C at 20', stale),
        expected(
          'the loop ends, with an alarm that names the two tables and shows how they differ',
          ['tables of', 'a.example (digest', 'b.example (digest', 'B-C: '].every(part => alarm?.what.includes(part)),
          alarm?.what ?? 'no alarm',
        ),
        expected(
          'and says with whom we are not in step',
          alarm?.what.includes('not in step with connector') === true,
          alarm?.what ?? 'no alarm',
        ),
        expected('the message has not arrived', road === undefined, road?.join(' > ') ?? ''),
      ],
      { way: stale, differences: diffLines(found, name), alarm: alarm?.what },
    )
  }

  /** 6. */
  async #cured(): Promise<void> {
    const typed = await Promise.all(FIREWALLS.map(node => this.lab.type(node, `no ${GUARD}`)))
    const spread = await this.until(() => this.#agree && this.#way('mail-a', this.#recipient) === 'A > D > C at 25')
    await this.#write('seven')
    const { road } = await this.#arrival('seven')
    this.lab.heal('link-bc')
    await this.until(() => this.#isWhole && this.#way('mail-a', this.#recipient) === 'A > B > C at 20')
    const end = this.#way('mail-a', this.#recipient)
    this.told(
      'no fixup: the tables are one again, and mail takes a road that is open',
      [
        line(`fw-a(config)# no ${GUARD}    fw-b(config)# no ${GUARD}`, 'head'),
        line(`${spread} later all have one table, and A sends by A > D > C. Nothing else was touched.`),
        line(`seven  came by  ${road}`),
        line(''),
        line('lab heal link-bc', 'head'),
        line(`A sends by ${end}`),
      ],
      [
        expected(
          'both firewalls take the line',
          typed.every(({ wrong }) => !wrong),
          typed.flatMap(({ answer }) => answer).join(' '),
        ),
        expected('mail goes round', road === 'mail-a > mail-d > mail-c', road),
        expected('and by the cheapest way when that is mended', end === 'A > B > C at 20', end),
        expected('four tables are one', this.#agree, 'they differ'),
      ],
      { road, way: end },
    )
  }
}
