import { unreachable } from '../base/unreachable.ts'
import { MAX_FRAME } from '../smtp/link2state.ts'
import { compareKnown, knownIn, reconcile, summaryOf, wantedOf, within } from './delta.ts'
import { type RoutingEngine, sayAlarm, type Teller } from './engine.ts'
import { type Frame, type Known, readFrame, writeFrame } from './frame.ts'
import { type Digest, type GroupState, type Guid, type LinkStateTable, merge } from './link-state.ts'

/**
 * The conversation of two routing servers, frame by frame, whatever carries the frames: X-LINK2STATE between groups, TCP
 * 691 within one.
 *
 * No capture of the real conversation is public; this one agrees with every fragment that is (`docs/routing.md`). The
 * client begins by telling its digest. Equal digests end it. Otherwise each tells what the other lacks.
 */
export type ExchangeOutput =
  /** Send this frame: as the client in X-LINK2STATE, as the server in the reply to what came last. */
  | { readonly kind: 'say'; readonly frame: string }
  /** The table changed: routes are made anew, other neighbours have news to be told. */
  | { readonly kind: 'changed' }
  /** A member of our group reports on a connector: for the master. */
  | { readonly kind: 'report'; readonly server: Guid; readonly connector: Guid; readonly available: boolean }
  | { readonly kind: 'finding'; readonly finding: Finding }
  /** It is over, and the client may go on with mail. */
  | { readonly kind: 'done'; readonly inStep: boolean }

/** Something to be counted and told to whoever runs this server. */
export interface Finding {
  readonly kind: 'refused' | 'foreign-org' | 'alarm' | 'out-of-step'
  readonly neighbour: string
  readonly why: string
}

export interface ExchangeOptions {
  readonly side: 'client' | 'server'
  /** By what name this neighbour is remembered: what it proved when it authenticated, never what it calls itself. */
  readonly neighbour: string
  readonly teller: Teller
  /** Both are Posterns and said so: only what changed is told. A peer of 2000 must never hear such a frame. */
  readonly delta: boolean
  /** The connection stays, and either side may begin: TCP 691. */
  readonly lasting?: boolean
  readonly maxFrame?: number
}

/** Frames from one peer in one conversation; a whole table of 10,000 groups takes some 120 in delta form. */
export const MAX_TURNS = 512

/** News that a conversation begins with. */
export const MAX_NEWS = 1_024

export class Exchange {
  readonly #engine: RoutingEngine
  readonly #options: ExchangeOptions
  #turns = 0
  #done = false
  /** What is news to this neighbour is told once in a conversation. */
  #hasTold = false
  /** Changes of the engine when we last spoke, and those that the neighbour was in step with at the last end. */
  #saidAt = 0
  #toldAt = -1
  /** The two digests at the last summary: the same two again, and nothing moves any more. */
  #stuck = ''

  constructor(engine: RoutingEngine, options: ExchangeOptions) {
    this.#engine = engine
    this.#options = options
  }

  get isDone(): boolean {
    return this.#done
  }

  /** So many changes of the engine does the neighbour know of, since it was in step last; -1 before it was. */
  get toldAt(): number {
    return this.#toldAt
  }

  /** The first word of a conversation. Where the connection lasts, another may follow. */
  begin(): readonly ExchangeOutput[] {
    this.#reset()
    this.#hasTold = true
    if (this.#options.delta) return this.#say(this.#versions([], this.#news()))
    return this.#say(this.#options.side === 'client' ? this.#query() : this.#orginfo())
  }

  /** A whole frame came. Where the server says nothing to it, it was refused: 501. */
  hear(text: string): readonly ExchangeOutput[] {
    if (++this.#turns > MAX_TURNS && !this.#done)
      return this.#refuse(`more than ${MAX_TURNS} frames in one conversation`)
    const read = readFrame(text, this.#options.maxFrame)
    if ('wrong' in read) return this.#refuse(read.wrong)
    const heard = flat(read.frame)
    // The peer begins another.
    if (this.#done && heard.some(({ kind }) => kind !== 'report')) this.#reset()
    if (!this.#options.delta && heard.some(isDelta)) return this.#refuse('a form that was not agreed on')
    const isStranger = this.#options.teller === 'other-group'
    if (isStranger && heard.some(({ kind }) => kind === 'report')) return this.#refuse('a report from another group')
    const isOver = heard.some(({ kind }) => kind === 'done-response')
    if (heard.some(each => 'org' in each && each.org !== undefined && each.org !== this.#engine.org)) {
      const finding = this.#finding('foreign-org', 'it belongs to another organisation')
      return [finding, ...this.#finish(false, isOver ? undefined : DONE)]
    }
    const outputs: ExchangeOutput[] = []
    for (const frame of heard) {
      if (frame.kind === 'orginfo' || frame.kind === 'delta') outputs.push(...this.#absorb(frame.groups))
      if (frame.kind === 'report') {
        outputs.push({ kind: 'report', server: frame.server, connector: frame.connector, available: frame.available })
      }
    }
    // A report is no turn of the conversation, and needs no answer.
    if (heard.length > 0 && heard.every(({ kind }) => kind === 'report')) return outputs
    if (isOver) {
      // Without a digest beside it, it says that all is well; with one, that it gives up.
      const named = digestIn(heard)
      const inStep = named === undefined || named === this.#engine.digest
      // It speaks of the table that we told of last: what somebody else taught us meanwhile it does not know.
      return [...outputs, ...this.#finish(inStep, undefined, named === undefined ? this.#saidAt : undefined)]
    }
    const answers = heard.flatMap(frame => this.#answer(frame, heard))
    if (answers.length > 0) return [...outputs, ...this.#say(...answers)]
    const inStep = digestIn(heard) === this.#engine.digest
    const last = inStep || !this.#options.delta ? DONE : [...DONE, this.#delta([])]
    return [...outputs, ...this.#finish(inStep, last)]
  }

  /** Tells the master about a connector; 2000's way of saying it is not public, so a master of 2000 is not told. */
  report(connector: Guid, available: boolean): readonly ExchangeOutput[] {
    const { org, server } = this.#engine
    return this.#options.delta ? this.#say({ kind: 'report', org, server, connector, available }) : []
  }

  #reset(): void {
    this.#turns = 0
    this.#done = false
    this.#hasTold = false
    this.#stuck = ''
  }

  /** What to say to one of the frames that came together. Nothing, where all is said. */
  #answer(frame: Frame, together: readonly Frame[]): readonly Frame[] {
    const engine = this.#engine
    switch (frame.kind) {
      case 'digest-query': {
        if (frame.digest === engine.digest) return []
        return this.#options.side === 'server' ? [this.#orginfo(), this.#query()] : [this.#orginfo()]
      }
      case 'delta':
        // Who also wants something gets that first; what is left to differ shows after it.
        return together.some(({ kind }) => kind === 'want') ? [] : this.#summary(frame.digest)
      case 'summary': {
        if (frame.digest === engine.digest) return []
        const { parts, known } = knownIn(engine, frame.parts)
        return [this.#versions(parts, known)]
      }
      case 'versions': {
        if (frame.digest === engine.digest) return []
        const { newer, wanted } = reconcile(engine.table, frame)
        const news = merge(newer, this.#hasTold ? [] : this.#news().filter(each => isNewTo(frame.versions, each)))
        this.#hasTold = true
        if (wanted.length > 0) return [this.#delta(news), { kind: 'want', org: engine.org, groups: wanted }]
        return news.length > 0 ? [this.#delta(news)] : this.#summary(frame.digest)
      }
      case 'want':
        return [this.#delta(wantedOf(merge(engine.table, this.#claim()), frame.groups))]
      case 'report':
      case 'multi':
      case 'node-info':
      case 'orginfo':
      case 'done-response':
        return []
      default:
        return unreachable(frame)
    }
  }

  /** Something differs that neither knows of; the same two digests again, and asking helps no more. */
  #summary(theirs: Digest): readonly Frame[] {
    const engine = this.#engine
    const pair = `${theirs} ${engine.digest}`
    if (theirs === engine.digest || pair === this.#stuck) return []
    this.#stuck = pair
    return [{ kind: 'summary', org: engine.org, digest: engine.digest, parts: summaryOf(engine) }]
  }

  #absorb(theirs: LinkStateTable): readonly ExchangeOutput[] {
    const { changed, alarms } = this.#engine.absorb(theirs, this.#options.teller)
    const findings = alarms.map(alarm => this.#finding('alarm', sayAlarm(alarm)))
    return changed.length > 0 ? [...findings, { kind: 'changed' }] : findings
  }

  /** The client just stops, unless the connection lasts: then either side says that it is done. */
  #finish(inStep: boolean, last?: readonly Frame[], toldAt = this.#engine.changes): readonly ExchangeOutput[] {
    const { side, neighbour, lasting = false, delta } = this.#options
    this.#done = true
    if (inStep) {
      this.#toldAt = toldAt
      this.#engine.inStepWith(neighbour, toldAt)
    }
    const said = last && (side === 'server' || lasting) ? this.#say(...last) : []
    const finding = delta && !inStep ? [this.#finding('out-of-step', 'the tables still differ after all was told')] : []
    return [...said, ...finding, { kind: 'done', inStep }]
  }

  #refuse(why: string): readonly ExchangeOutput[] {
    this.#done = true
    return [this.#finding('refused', why), { kind: 'done', inStep: false }]
  }

  #finding(kind: Finding['kind'], why: string): ExchangeOutput {
    return { kind: 'finding', finding: { kind, neighbour: this.#options.neighbour, why } }
  }

  #say(...frames: readonly Frame[]): readonly ExchangeOutput[] {
    const { maxFrame = MAX_FRAME } = this.#options
    // A report says nothing of the table.
    if (frames.some(each => 'digest' in each)) this.#saidAt = this.#engine.changes
    const frame = writeFrame({ kind: 'multi', frames })
    if (frame.length <= maxFrame) return [{ kind: 'say', frame }]
    // Some 1,500 groups in the form of 2000: the other side would refuse it whole, and so would we.
    return this.#refuse(`our table takes ${frame.length} octets, and a frame has ${maxFrame} at most`)
  }

  #query(): Frame {
    return { kind: 'digest-query', org: this.#engine.org, digest: this.#engine.digest }
  }

  #orginfo(): Frame {
    const { digest, table } = this.#engine
    return { kind: 'orginfo', digest, groups: merge(table, this.#claim()) }
  }

  /** What this neighbour has not been told. */
  #news(): LinkStateTable {
    return merge(this.#engine.newsFor(this.#options.neighbour) ?? [], this.#claim())
  }

  #claim(): LinkStateTable {
    return this.#options.teller === 'own-group' ? this.#engine.claim : []
  }

  /** Which versions stand here: of all groups in the parts, or, without any, of those that changed. */
  #versions(parts: readonly string[], known: readonly Known[]): Frame {
    const versions = known.map(({ group, version, incarnation }) => ({ group, version, incarnation }))
    const { org, digest } = this.#engine
    // So many at once are found sooner by summary.
    return {
      kind: 'versions',
      org,
      digest,
      parts,
      versions: parts.length > 0 || known.length <= MAX_NEWS ? versions : [],
    }
  }

  #delta(groups: LinkStateTable): Frame {
    const { told, more } = within(groups)
    return { kind: 'delta', org: this.#engine.org, digest: this.#engine.digest, more, groups: told }
  }
}

/** Whether a conversation that begins with this frame is one of two Posterns: it tells only what changed. */
export function speaksOfChanges(text: string): boolean {
  const read = readFrame(text)
  return 'frame' in read && flat(read.frame).some(isDelta)
}

/** Whether they do not know it, by what they say they know. */
function isNewTo(theirs: readonly Known[], state: GroupState): boolean {
  const known = theirs.find(({ group }) => group === state.group)
  return !known || compareKnown(state, known) > 0
}

const DONE: readonly Frame[] = [{ kind: 'done-response' }]

/** The digest that was named last. */
function digestIn(heard: readonly Frame[]): Digest | undefined {
  const named = heard.findLast(frame => 'digest' in frame)
  return named && 'digest' in named ? named.digest : undefined
}

/** The frames within frames, in order. */
function flat(frame: Frame): readonly Frame[] {
  return frame.kind === 'multi' ? frame.frames.flatMap(flat) : [frame]
}

function isDelta({ kind }: Frame): boolean {
  return kind === 'delta' || kind === 'summary' || kind === 'versions' || kind === 'want' || kind === 'report'
}
