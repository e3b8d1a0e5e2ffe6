/** What every story has: a laboratory that runs, messages to send into it, patience, and steps to tell. */
import { type Duration, sayDuration } from '../base/time.ts'
import { now } from '../io/clock.ts'
import { readMaildir } from '../io/maildir.ts'
import { sha256 } from '../io/secrets.ts'
import type { MailFolder } from '../lab/config.ts'
import type { Expectation, Line, Step } from '../lab/story.ts'
import { withoutTrace } from '../mail/trace.ts'
import { formatMailbox } from '../smtp/address.ts'
import type { Gateway } from './gateway.ts'
import type { Lab } from './lab.ts'
import type { Mta } from './mta.ts'
import { submit } from './submission.ts'

/** How long a story waits for what it expects, before it says that it did not come. */
export const PATIENCE: Duration = 20_000
/** How often it looks. */
const LOOK_AGAIN: Duration = 50

/** A message of a story: its name, and its octets. */
export interface Letter {
  readonly name: string
  readonly content: Uint8Array
}

export interface Letters {
  readonly folder: MailFolder
  readonly letters: readonly Letter[]
}

/** How a story is told: with which messages, to whom, and how long it waits. */
export interface Telling {
  readonly letters: readonly Letters[]
  readonly tell: (step: Step) => void
  readonly patience: Duration
}

export interface Arrival {
  readonly whole: boolean
  readonly said: string
  readonly fact: Readonly<Record<string, unknown>>
}

export abstract class Story {
  readonly name: string
  readonly lab: Lab
  readonly steps: Step[] = []
  protected readonly letters: readonly Letters[]
  readonly #tell: (step: Step) => void
  readonly #patience: Duration
  #abandoned = false

  constructor(name: string, lab: Lab, { letters, tell, patience }: Telling) {
    this.name = name
    this.lab = lab
    this.letters = letters
    this.#tell = tell
    this.#patience = patience
  }

  /** Tells the whole story. */
  abstract run(): Promise<readonly Step[]>

  /** How to use what is still up, beside its entries. */
  abstract invitation(): readonly string[]

  /** Somebody wants out: wait for nothing any more, and take everything down. */
  async abandon(): Promise<void> {
    this.#abandoned = true
    await this.lab.stop()
  }

  protected mta(node: string): Mta {
    const found = this.lab.mtas.get(node)
    if (!found) throw new Error(`the story ${this.name} needs a mail server called ${node}`)
    return found
  }

  protected gateway(node: string): Gateway {
    const found = this.lab.gateways.get(node)
    if (!found) throw new Error(`the story ${this.name} needs a firewall called ${node}`)
    return found
  }

  /** Waits until it is so, or until patience ends: the expectation that follows says which. Gives how long it took. */
  protected async until(so: () => boolean | Promise<boolean>, patience: Duration = this.#patience): Promise<string> {
    const begin = now()
    while (!this.#abandoned && !(await so()) && now() < begin + patience) {
      await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN))
    }
    return sayDuration(now() - begin)
  }

  protected told(
    title: string,
    lines: readonly Line[],
    expectations: readonly Expectation[],
    facts: Step['facts'],
  ): void {
    const step = { story: this.name, step: this.steps.length + 1, title, lines, expectations, facts }
    this.steps.push(step)
    this.#tell(step)
  }

  /** Hands the letters of an entry to its mail server, as a workstation beside it would. */
  protected async send(
    entry: string,
  ): Promise<readonly { readonly letter: Letter; readonly refusal: string | undefined }[]> {
    const found = this.letters.find(({ folder }) => folder.entry === entry)
    const at = this.lab.entries.get(entry)
    if (!found || !at) throw new Error(`the story ${this.name} needs mail for the entry ${entry}`)
    const sent = []
    for (const letter of found.letters) {
      sent.push({ letter, refusal: await submit(at, found.folder, letter.content) })
    }
    return sent
  }

  /** What arrived of what was sent, compared octet by octet; waits until all of it has. */
  protected async arrivals(entry: string): Promise<readonly Arrival[]> {
    const found = this.letters.find(({ folder }) => folder.entry === entry)
    if (!found) return []
    const maildir = this.lab.maildir(formatMailbox(found.folder.to))
    await this.until(async () => (await readMaildir(maildir)).length >= found.letters.length)
    const arrived = [...(await readMaildir(maildir))]
    return found.letters.map(({ name, content }) => {
      const at = arrived.findIndex(each => 'gained' in withoutTrace(each, content))
      const [match] = at < 0 ? [] : arrived.splice(at, 1)
      const digest = sha256(content)
      const fact = { name, octets: content.length, sha256: digest, arrived: match !== undefined }
      const size = `${String(content.length).padStart(9)} octets`
      if (!match) return { whole: false, said: `${name.padEnd(20)} ${size}  has not arrived as it was sent`, fact }
      const same = sha256(match.subarray(match.length - content.length)) === digest
      const said = `${name.padEnd(20)} ${size}  arrived  sha256 ${digest.slice(0, 16)}… ${same ? 'the same' : 'differs'}`
      return { whole: same, said, fact }
    })
  }
}
