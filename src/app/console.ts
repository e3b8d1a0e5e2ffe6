/** The console of one firewall: typed lines, one after the other, and what can be taken back. */
import { type Diagnostic, formatDiagnostic, PosternError } from '../base/problem.ts'
import { formatDuration } from '../base/time.ts'
import { unreachable } from '../base/unreachable.ts'
import { diff } from '../config/diff.ts'
import { FIREWALL } from '../firewall/commands.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { type Act, type ConsoleMode, type ConsoleView, complete, type Typed, type } from '../firewall/console.ts'
import { filtered } from '../firewall/console-filter.ts'
import type { GatewayEvent } from '../firewall/event.ts'
import type { ControlAnswer } from '../io/control.ts'

/** The firewall behind a console. */
export interface ConsoleTarget {
  readonly config: () => FirewallConfig
  /** Puts a configuration in force; what of it could not be done, in words. */
  readonly configure: (config: FirewallConfig) => Promise<readonly Diagnostic[]>
  readonly view: ConsoleView
  readonly tell: (event: GatewayEvent) => void
  /** What only a firewall with a file of its own can do. */
  readonly write?: () => Promise<readonly string[]>
  readonly reload?: () => Promise<ControlAnswer>
  readonly metrics?: () => Promise<readonly string[]>
}

/** Changes that can be taken back, one by one. */
export const MAX_UNDO = 50

export class Console {
  readonly #target: ConsoleTarget
  readonly #before: FirewallConfig[] = []
  #pending: { readonly config: FirewallConfig; readonly timer: NodeJS.Timeout } | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #mode: ConsoleMode | undefined

  constructor(target: ConsoleTarget) {
    this.#target = target
  }

  /** A change is in force when the answer is there. */
  type(line: string): Promise<ControlAnswer> {
    const done = this.#turn.then(() => this.#type(line))
    this.#turn = done.catch(() => {})
    return done
  }

  complete(typed: string): readonly string[] {
    return complete(typed, this.#mode)
  }

  close(): void {
    clearTimeout(this.#pending?.timer)
  }

  async #type(line: string): Promise<ControlAnswer> {
    const typed = type(this.#target.config(), line, this.#target.view, this.#mode)
    this.#mode = typed.mode
    const changed = typed.config !== undefined || (typed.act !== undefined && typed.act.kind !== 'metrics')
    if (!typed.wrong && line.trim() !== '' && !line.trim().endsWith('?')) {
      this.#target.tell({ kind: 'typed', line: line.trim(), changed })
    }
    try {
      const said = await this.#carryOut(typed)
      const mode = this.#mode?.spec.enters
      return mode === undefined ? said : { ...said, mode }
    } catch (cause) {
      if (!(cause instanceof PosternError)) throw cause
      return { answer: [...typed.answer, `error: ${cause.message}`], wrong: true }
    }
  }

  async #carryOut({ answer, config, act, wrong }: Typed): Promise<ControlAnswer> {
    if (act) return this.#act(act)
    if (!config) return { answer, wrong }
    this.#before.push(this.#target.config())
    if (this.#before.length > MAX_UNDO) this.#before.shift()
    const problems = await this.#target.configure(config)
    return { answer: [...answer, ...problems.map(formatDiagnostic)], wrong: problems.length > 0 }
  }

  async #act(act: Act): Promise<ControlAnswer> {
    const { write, reload, metrics } = this.#target
    switch (act.kind) {
      case 'undo': {
        const before = this.#before.pop()
        if (!before) return { answer: ['error: there is nothing to take back'], wrong: true }
        return this.#goBack(before)
      }
      case 'confirm-within': {
        if (this.#pending) return { answer: ['error: a change waits to be confirmed already'], wrong: true }
        const timer = setTimeout(() => this.#takeBack(), act.wait)
        this.#pending = { config: this.#target.config(), timer }
        const said = `what is changed from now on is taken back in ${formatDuration(act.wait)}, unless you type: confirm`
        return { answer: [said], wrong: false }
      }
      case 'confirm': {
        if (!this.#pending) return { answer: ['error: nothing waits to be confirmed'], wrong: true }
        this.close()
        this.#pending = undefined
        return { answer: ['confirmed (write memory keeps it for the next start)'], wrong: false }
      }
      case 'write':
        if (!write) return { answer: ['error: this firewall has no file of its own'], wrong: true }
        if (this.#pending)
          return { answer: ['error: first confirm: an unconfirmed change is not written'], wrong: true }
        return { answer: await write(), wrong: false }
      case 'reload': {
        if (!reload) return { answer: ['error: this firewall has no file of its own'], wrong: true }
        const before = this.#target.config()
        const answer = await reload()
        if (!answer.wrong) this.#before.push(before)
        return answer
      }
      case 'metrics':
        return metrics
          ? { answer: filtered(await metrics(), act.filter), wrong: false }
          : { answer: ['error: nothing is counted here'], wrong: true }
      default:
        return unreachable(act)
    }
  }

  /** Back to what was; the answer is what that amounted to, as lines. */
  async #goBack(before: FirewallConfig): Promise<ControlAnswer> {
    const lines = diff(FIREWALL, this.#target.config(), before)
    const problems = await this.#target.configure(before)
    return { answer: [...lines, ...problems.map(formatDiagnostic)], wrong: problems.length > 0 }
  }

  #takeBack(): void {
    const pending = this.#pending
    this.#pending = undefined
    if (!pending) return
    // In its turn: a line that is being typed comes first.
    this.#turn = this.#turn.then(async () => {
      await this.#goBack(pending.config)
      this.#target.tell({ kind: 'taken-back', why: 'nobody confirmed it in time' })
    })
    this.#turn = this.#turn.catch(() => {})
  }
}
