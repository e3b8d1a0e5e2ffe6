import type { Guid } from './link-state.ts'

/** Recipients whose copies are one for the first part of their ways. */
export interface Branch {
  readonly recipients: readonly number[]
  /** The groups that all of them come through, ours first: the last is where they part. */
  readonly path: readonly Guid[]
}

/**
 * Delayed fan-out: one copy goes as far as ways are the same, and is multiplied where they part. `paths` are those of the
 * recipients, by number.
 */
export function fanOut(paths: readonly (readonly Guid[])[]): readonly Branch[] {
  const branches = new Map<string, { recipients: number[]; path: readonly Guid[] }>()
  for (const [recipient, path] of paths.entries()) {
    const key = path[1] ?? ''
    const branch = branches.get(key)
    if (!branch) {
      branches.set(key, { recipients: [recipient], path })
      continue
    }
    branch.recipients.push(recipient)
    const parts = branch.path.findIndex((group, i) => group !== path[i])
    if (parts >= 0) branch.path = branch.path.slice(0, parts)
  }
  return [...branches.values()]
}
