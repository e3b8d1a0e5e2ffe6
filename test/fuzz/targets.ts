import { CLIENT } from './client.ts'
import { BODIES, COMMANDS, ENCODINGS, PATHS, REPLIES } from './parsers.ts'
import { NODE_LINK, ROUTING } from './routing.ts'
import { FRAMED, SECURED, SERVER } from './server.ts'
import type { AnyTarget } from './target.ts'

/** Everything that is fuzzed, by `npm run fuzz` for as long as one likes and by `npm test` for a moment. */
export const TARGETS: readonly AnyTarget[] = [
  SERVER,
  FRAMED,
  SECURED,
  CLIENT,
  COMMANDS,
  PATHS,
  REPLIES,
  BODIES,
  ENCODINGS,
  NODE_LINK,
  ROUTING,
  NODE_LINK,
]
