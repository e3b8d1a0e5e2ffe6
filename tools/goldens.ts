/**
 * Writes the expected output of the golden tests afresh, from what the code does now: `npm run goldens`.
 *
 * Read the difference before it goes in: it is what the change does to people.
 */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { readTree } from './layers.ts'

const ROOT: string = join(import.meta.dirname, '..')

if (import.meta.main) {
  const files = [...readTree(ROOT, ['test'], '.test.ts').keys()].filter(
    file => file.endsWith('.golden.test.ts') || file === 'test/transcripts.test.ts',
  )
  if (files.length === 0) {
    // Without a file, `node --test` would look for tests by itself, and run others.
    console.log('goldens: there are none yet (test/**/*.golden.test.ts, test/transcripts.test.ts)')
  } else {
    const options = ['--disable-warning=ExperimentalWarning', '--test', '--test-update-snapshots']
    const { status } = spawnSync(process.execPath, [...options, ...files], {
      cwd: ROOT,
      env: { ...process.env, POSTERN_UPDATE: '1' },
      stdio: 'inherit',
    })
    process.exitCode = status ?? 1
  }
}
