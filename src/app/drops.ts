/** Takes up what programs of this machine left while no server ran. */
import type { Duration } from '../base/time.ts'
import { now } from '../io/clock.ts'
import { DropFolder, MAX_LOOKED_AT } from '../io/drop-folder.ts'
import type { MtaEvent } from '../mta/news.ts'
import { isDone, type SpoolId } from '../spool/entry.ts'
import { givenBack, type Spool } from '../spool/spool.ts'
import type { Mta } from './mta.ts'
import { CLAIM } from './queue-work.ts'
import { Reports } from './reports.ts'
import { words } from './words.ts'

/** How often it is looked for such messages: a program may have found no server a moment before there was one. */
export const LOOK_FOR_DROPS: Duration = 10_000
/** Messages taken up at once: together they are one flush of the disk, or a few. */
const AT_ONCE = 20

export interface AroundDrops {
  readonly spool: Spool
  /** The one in force. */
  readonly mta: () => Mta
  readonly tell: (event: MtaEvent) => void
}

/** What became of a file: it is gone from there, or stays for the next time. */
type Fate = 'done' | 'later'

/**
 * The id of a file is the id of its message, so that none is taken twice: what is in the queue, or was until a moment ago, was
 * taken, and only its file was not removed before the end came.
 */
export class Drops {
  readonly #folder: DropFolder
  readonly #spool: Spool
  readonly #mta: () => Mta
  readonly #tell: (event: MtaEvent) => void
  #looking: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  /** What was told last of what is in the way, so that it is told once. */
  #told: string | undefined
  /** Taken, and their files could not be removed: they are not taken again, however long the queue remembers them. */
  readonly #taken = new Set<SpoolId>()

  constructor(folder: string, { spool, mta, tell }: AroundDrops) {
    this.#folder = new DropFolder(folder)
    this.#spool = spool
    this.#mta = mta
    this.#tell = tell
  }

  /** Opens the folder, takes what is in it, and looks again from time to time. */
  async begin(): Promise<void> {
    try {
      await this.#folder.open()
    } catch (cause) {
      this.#note(`no mail can be left in ${this.#folder.folder} while no server runs: ${words(cause)}`)
      return
    }
    this.#look()
    this.#timer = setInterval(() => this.#look(), LOOK_FOR_DROPS)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    await this.#looking
  }

  #look(): void {
    this.#looking = this.#looking
      .then(() => this.#takeAll())
      .catch(cause => this.#inTheWay(`what is in ${this.#folder.folder} cannot be taken up now: ${words(cause)}`))
  }

  async #takeAll(): Promise<void> {
    for (let isMore = true; isMore && !this.#isStopped; ) {
      const names = await this.#folder.names(now())
      isMore = names.length >= MAX_LOOKED_AT
      for (let i = 0; i < names.length && !this.#isStopped; i += AT_ONCE) {
        const fates = await Promise.all(names.slice(i, i + AT_ONCE).map(name => this.#tried(name)))
        if (fates.includes('later')) return
      }
    }
    this.#told = undefined
  }

  /** What goes wrong with one stands in nobody else's way. */
  #tried(name: string): Promise<Fate> {
    return this.#take(name).catch(cause => {
      this.#inTheWay(`${name} in ${this.#folder.folder} cannot be taken up now: ${words(cause)}`)
      return 'done'
    })
  }

  async #take(name: string): Promise<Fate> {
    if (this.#taken.has(name) || this.#spool.has(name) || (await this.#spool.gone(name))) return this.#finish(name)
    const mta = this.#mta()
    const found = await this.#folder.read(name, mta.config.limits.messageSize)
    if (!found) return 'done'
    const answer = 'wrong' in found ? found : await mta.take(found)
    if ('wrong' in answer) {
      const { path, gone } = await this.#folder.setAside(name)
      const full = gone === 0 ? '' : `; there is no room for more there, and the oldest ${gone} were removed`
      this.#note(`${path} was put there, for it is no message to be sent: ${answer.wrong}${full}`)
      return 'done'
    }
    if ('yes' in answer) return answer.isOver ? this.#finish(name) : this.#remove(name)
    this.#inTheWay(`what was left in ${this.#folder.folder} waits there, for it cannot be kept: ${answer.later}`)
    return 'later'
  }

  /** It is on our disk. Of one that goes nowhere its sender is still to be told. */
  async #finish(id: SpoolId): Promise<Fate> {
    const at = now()
    const claim = await this.#spool.take(id, at, at + CLAIM)
    if (claim && isDone(claim.entry)) {
      const { entry, news, report } = await new Reports(this.#mta().config, this.#spool).told(claim.entry, 'end', at)
      await this.#spool.remove(claim, { last: entry, report })
      if (news) this.#tell({ kind: 'message', entry, news })
    } else if (claim) await givenBack(this.#spool, claim)
    this.#mta().wake()
    return this.#remove(id)
  }

  async #remove(id: SpoolId): Promise<Fate> {
    this.#taken.add(id)
    await this.#folder.remove(id)
    this.#taken.delete(id)
    return 'done'
  }

  #note(what: string): void {
    this.#tell({ kind: 'note', what })
  }

  #inTheWay(what: string): void {
    if (this.#told !== what) this.#note(what)
    this.#told = what
  }
}
