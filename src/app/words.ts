/** What went wrong, for people. */
export function words(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
