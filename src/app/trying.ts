/** Opening what a configuration names, one thing after the other, to tell of everything that is wrong with any of it. */
import { type Diagnostic, PosternError, type SourceRef } from '../base/problem.ts'

/** What was made; nothing where it could not be, and then a problem more, at the line that asked for it. */
export type Try = <T>(at: SourceRef | undefined, make: () => T | Promise<T>) => Promise<T | undefined>

/** `attempt` gathers what goes wrong in `problems`. A mistake of ours is thrown on. */
export function trying(): { readonly problems: Diagnostic[]; readonly attempt: Try } {
  const problems: Diagnostic[] = []
  return {
    problems,
    async attempt(at, make) {
      try {
        return await make()
      } catch (cause) {
        if (!(cause instanceof PosternError)) throw cause
        problems.push({ severity: 'error', message: cause.message, ...(at && { at }) })
        return undefined
      }
    },
  }
}
