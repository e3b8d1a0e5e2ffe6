/** Where in a file something stands: line and column count from 1; `text` is the whole line. */
export interface SourceRef {
  readonly file: string
  readonly line: number
  readonly column: number
  /** How many characters are meant, for the underline; at least 1. */
  readonly length: number
  readonly text: string
}

/** Something a person wrote that cannot be taken as it is, with the place and the way out. */
export interface Diagnostic {
  readonly severity: 'error' | 'warning'
  readonly message: string
  /** What would be right: `known: inside, outside, vpn`. */
  readonly hint?: string
  readonly at?: SourceRef
}

/** `file:line`, the way a rule is cited. */
export function cite(at: SourceRef): string {
  return `${at.file}:${at.line}`
}

/** A diagnostic as it is printed: place, message, the line itself, and a caret under the words that are meant. */
export function formatDiagnostic({ severity, message, hint, at }: Diagnostic): string {
  if (!at) return `${severity}: ${message}${hint ? ` (${hint})` : ''}`
  const head = `${at.file}:${at.line}:${at.column}: ${severity}: ${message}`
  const marker = `${' '.repeat(at.column - 1)}^${'~'.repeat(Math.max(0, at.length - 1))}`
  return `${head}\n   ${at.text}\n   ${marker}${hint ? `  ${hint}` : ''}`
}

/** Whose fault it was, seen from the middle. */
export type Side = 'client' | 'server' | 'us'

/**
 * The world failed: a socket, a disk, a process. Thrown only in `io`, `app` and `cli`; a peer's mistake is never one.
 */
export class PosternError extends Error {
  readonly code: string
  readonly side: Side
  readonly retry: 'later' | 'never'
  constructor(
    code: string,
    message: string,
    { side, retry, cause }: { side: Side; retry: 'later' | 'never'; cause?: unknown },
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'PosternError'
    this.code = code
    this.side = side
    this.retry = retry
  }
}
