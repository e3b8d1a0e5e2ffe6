/** Writes dist/, which is what the npm package carries: `npm run build`. */

import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT: string = join(import.meta.dirname, '..')
const SHEBANG = '#!/usr/bin/env node\n'

function build(): number {
  // What was deleted from src/ must not live on in the package.
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const { status, error } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  if (error) console.error(`build: ${error.message}`)
  if (status !== 0) return 1

  const main = join(ROOT, 'dist/cli/main.js')
  let text: string
  try {
    text = readFileSync(main, 'utf8')
  } catch {
    console.error(
      'build: tsc wrote no dist/cli/main.js, which is the command of the package (is src/cli/main.ts there?)',
    )
    return 1
  }
  if (!text.startsWith('#!')) writeFileSync(main, SHEBANG + text)
  chmodSync(main, 0o755)
  return 0
}

if (import.meta.main) process.exitCode = build()
