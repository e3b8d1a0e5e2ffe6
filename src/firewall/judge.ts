import type { Match, Policy } from './policy.ts'
import { PASS, type Verdict } from './verdict.ts'

/** What a policy is asked about. A verb is in upper case. */
export type Subject =
  | { readonly on: 'greeting' }
  | { readonly on: 'verb'; readonly verb: string }
  /** `verb`: the complete verb at its beginning, if there is one. */
  | { readonly on: 'fragment'; readonly verb: string | undefined }
  | { readonly on: 'address-octet'; readonly octets: 'pipe' | 'stray-bracket' }

/** What the policy does with the subject: the first rule that matches decides. Pure and total. */
export function judge(policy: Policy, subject: Subject): Verdict {
  for (const { match, action, reason } of policy.rules) {
    if (!matches(match, subject)) continue
    return { kind: action.kind, how: action.how, because: { policy: policy.name, cause: policy.cause, reason } }
  }
  return PASS
}

function matches(match: Match, subject: Subject): boolean {
  if (match.on === 'greeting') return subject.on === 'greeting'
  if (match.on === 'verb') return subject.on === 'verb' && match.of.has(subject.verb) !== match.negated
  if (match.on === 'fragment') {
    return subject.on === 'fragment' && (subject.verb === undefined || !match.without.has(subject.verb))
  }
  return subject.on === 'address-octet' && subject.octets === match.octets
}
