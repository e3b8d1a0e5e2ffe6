import { CLIENT } from './client.ts'
import { BODIES, COMMANDS, ENCODINGS, PATHS, REPLIES } from './parsers.ts'
import { ROUTING } from './routing.ts'
import { FRAMED, SERVER } from './server.ts'
import type { AnyTarget } from './target.ts'

/** Everything that is fuzzed, by `npm run fuzz` for as long as one likes and by `npm test` for a moment. */
export const TARGETS: readonly AnyTarget[] = [
  SERVER,
  FRAMED,
  CLIENT,
  COMMANDS,
  PATHS,
  REPLIES,
  BODIES,
  ENCODINGS,
  ROUTING,
]
