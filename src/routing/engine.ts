import {
  compareStates,
  type Digest,
  differenceOf,
  digestOf,
  type GroupState,
  type Guid,
  groupOf,
  type Hash,
  type LinkStateTable,
  MAX_COUNT,
  merge,
  newer,
  tableOf,
  type Version,
} from './link-state.ts'
import { groupText, owned } from './orginfo.ts'
import { waysOf } from './ways.ts'

/** Something that must not happen between honest masters. */
export type Alarm =
  /** Two servers count for one group, or one lost its memory and counts from the beginning. */
  | { readonly kind: 'two-masters'; readonly group: Guid; readonly version: Version }
  /** One version, two contents: routes that are made from them can loop. */
  | { readonly kind: 'forked'; readonly group: Guid; readonly version: Version }
  /** Somebody told a version of our own group that its master never made, or made in a life it does not remember. */
  | { readonly kind: 'own-group-raised'; readonly group: Guid; readonly version: Version }
  /** The version cannot be raised further: only a new GUID for the group helps. */
  | { readonly kind: 'exhausted'; readonly group: Guid; readonly version: Version }
  /** The table would grow beyond its limits: nothing of what was told is taken. */
  | { readonly kind: 'full'; readonly group: Guid; readonly version: Version }

/** What came of somebody's table. */
export interface Absorbed {
  readonly changed: readonly Guid[]
  readonly alarms: readonly Alarm[]
}

/** Who told it: a server of another group, or one of our own. */
export type Teller = 'other-group' | 'own-group'

export interface EngineOptions {
  readonly org: Guid
  /** This server. */
  readonly server: Guid
  /** The group this server is a member of. */
  readonly group: Guid
  readonly md5: Hash
  /** What the configuration says of the organisation, until better is learned. */
  readonly table: LinkStateTable
  readonly limits?: TableLimits
}

/** A table holds no more, whatever is told: no organisation has so many groups, and memory ends. */
export const TABLE_LIMITS: TableLimits = { groups: 65_535, octets: 512 * 1024 * 1024 }

export interface TableLimits {
  readonly groups: number
  /** Of the groups as a frame writes them. */
  readonly octets: number
}

/** Neighbours of whom we remember what they were told; those beyond it are told everything again. */
export const MAX_NEIGHBOURS = 4_096

/**
 * What one server knows of its organisation, and how that changes. Lives in memory only, as in Exchange: after a start
 * the neighbours tell.
 *
 * The master of a group never takes its own group's state from anybody: told a higher version it counts on from there.
 * A plain member takes it from its own group only.
 */
export class RoutingEngine {
  readonly org: Guid
  readonly server: Guid
  readonly group: Guid
  readonly #md5: Hash
  readonly #limits: TableLimits
  #table: LinkStateTable
  /** Octets of the table in a frame. */
  #octets: number
  #digest: Digest | undefined
  /** Our own group as strangers tell it, where that is newer: for the master, who alone can answer it. */
  #claim: GroupState | undefined
  /** How many changes there were; each group's last one; and how many each neighbour has been told. */
  #changes = 0
  readonly #changedAt = new Map<Guid, number>()
  readonly #told = new Map<string, number>()

  constructor({ org, server, group, md5, table, limits = TABLE_LIMITS }: EngineOptions) {
    this.#limits = limits
    this.org = org
    this.server = server
    this.group = group
    this.#md5 = md5
    this.#table = tableOf(table)
    this.#octets = this.#table.reduce((sum, state) => sum + groupText(state).length, 0)
  }

  get table(): LinkStateTable {
    return this.#table
  }

  get digest(): Digest {
    this.#digest ??= this.digestOf(this.#table)
    return this.#digest
  }

  digestOf(table: LinkStateTable): Digest {
    return digestOf(table, this.#md5)
  }

  get own(): GroupState | undefined {
    return groupOf(this.#table, this.group)
  }

  get isMaster(): boolean {
    return this.own?.master === this.server
  }

  /** Raised by every change. */
  get changes(): number {
    return this.#changes
  }

  /** Told to servers of our own group beside the table, so that its master can answer. */
  get claim(): LinkStateTable {
    return this.#claim ? [this.#claim] : []
  }

  /** Takes what is news; what is said of our own group is weighed first. */
  absorb(theirs: LinkStateTable, teller: Teller): Absorbed {
    const alarms = this.#quarrels(theirs)
    const news = theirs.flatMap(their => {
      const our = groupOf(this.#table, their.group)
      if (our && !newer(their, our)) return []
      if (!our || their.group !== this.group || (!this.isMaster && teller === 'own-group')) return [taken(their)]
      alarms.push({ kind: 'own-group-raised', group: their.group, version: their.version })
      return this.#contest(our, their, alarms)
    })
    const [first] = news
    if (!first) return { changed: [], alarms }
    if (this.#fits(news)) return { changed: this.#take(merge(this.#table, news)), alarms }
    alarms.push({ kind: 'full', group: first.group, version: first.version })
    return { changed: [], alarms }
  }

  #fits(news: LinkStateTable): boolean {
    let [groups, octets] = [this.#table.length, this.#octets]
    for (const state of news) {
      const before = groupOf(this.#table, state.group)
      if (!before) groups++
      octets += groupText(state).length - (before ? groupText(before).length : 0)
    }
    return groups <= this.#limits.groups && octets <= this.#limits.octets
  }

  /** A stranger knows a newer state of our own group than we: its master counts on from there, a member tells its master. */
  #contest(our: GroupState, their: GroupState, alarms: Alarm[]): LinkStateTable {
    if (!this.isMaster) {
      if (!this.#claim || newer(their, this.#claim)) this.#claim = owned(their)
      return []
    }
    if (their.version.major < MAX_COUNT) return [{ ...our, version: raised(their.version, 'major') }]
    alarms.push({ kind: 'exhausted', group: their.group, version: their.version })
    return []
  }

  /**
   * The master makes a new state of its group: `part` says what kind of change it is. Gives whether anything changed: a
   * server that is not the master, or a version at its end, changes nothing.
   */
  change(part: keyof Version, next: (state: GroupState) => GroupState): boolean {
    const own = this.own
    if (!own || !this.isMaster || own.version[part] >= MAX_COUNT) return false
    const changed = { ...next(own), group: own.group, version: raised(own.version, part) }
    return this.#take(merge(this.#table, [changed])).length > 0
  }

  /** What changed since this neighbour was last in step with us; `undefined` where it never was. */
  newsFor(neighbour: string): LinkStateTable | undefined {
    const told = this.#told.get(neighbour)
    if (told === undefined) return undefined
    if (told === this.#changes) return []
    return this.#table.filter(({ group }) => (this.#changedAt.get(group) ?? 0) > told)
  }

  /** This neighbour knows what we knew after so many changes: now, or when we last spoke to it. */
  inStepWith(neighbour: string, changes: number = this.#changes): void {
    this.#told.delete(neighbour)
    this.#told.set(neighbour, changes)
    // The one that was in step longest ago is told everything again, which is only slower.
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= MAX_NEIGHBOURS) break
      this.#told.delete(oldest)
    }
  }

  #quarrels(theirs: LinkStateTable): Alarm[] {
    const alarms: Alarm[] = []
    for (const their of theirs) {
      const our = groupOf(this.#table, their.group)
      if (!our || compareStates(our, their) === 0) continue
      const kind = differenceOf(our, their)
      // Version zero is what each server's own configuration says: two that differ there are no forgery.
      const isCounted = their.version.major > 0
      if (isCounted && (kind === 'two-masters' || kind === 'forked')) {
        alarms.push({ kind, group: their.group, version: their.version })
      }
    }
    return alarms
  }

  /** Puts the table into force, and gives the groups that changed. */
  #take(next: LinkStateTable): readonly Guid[] {
    if (next === this.#table) return []
    const changed: Guid[] = []
    let at = 0
    for (const state of next) {
      // Most groups stay as they are, and need not be looked into.
      if (this.#table[at] === state) {
        at++
        continue
      }
      while ((this.#table[at]?.group ?? '\uffff') < state.group) at++
      const before = this.#table[at]
      if (before === state) continue
      changed.push(state.group)
      this.#octets += groupText(state).length - (before?.group === state.group ? groupText(before).length : 0)
    }
    this.#table = next
    this.#digest = undefined
    this.#changes++
    for (const group of changed) this.#changedAt.set(group, this.#changes)
    if (this.#claim && this.own && compareStates(this.own, this.#claim) >= 0) this.#claim = undefined
    return changed
  }
}

/** A state with memory of its own; its ways are read while its texts are at hand. */
function taken(their: GroupState): GroupState {
  const state = owned(their)
  waysOf(state)
  return state
}

/** The next version: a part begins again at zero where one before it is raised. That is our choice; nobody wrote it down. */
export function raised({ major, minor, user }: Version, part: keyof Version): Version {
  if (part === 'major') return { major: major + 1, minor: 0, user: 0 }
  if (part === 'minor') return { major, minor: minor + 1, user: 0 }
  return { major, minor, user: user + 1 }
}

export function sayAlarm(alarm: Alarm): string {
  const { major, minor, user } = alarm.version
  const what = `group ${alarm.group} at version ${major}.${minor}.${user}`
  switch (alarm.kind) {
    case 'two-masters':
      return `${what} is counted by two masters`
    case 'forked':
      return `${what} is told with two contents: the tables have forked, and mail can loop`
    case 'own-group-raised':
      return `our own ${what} was told by somebody else; its master counts on from there`
    case 'full':
      return `the table is full: ${what}, and whatever came with it, is not taken`
    case 'exhausted':
      return `our own ${what} cannot be raised any more: give the group a new GUID`
  }
}
