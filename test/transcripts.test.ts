/**
 * Plays every file of `test/transcripts` against the machine it names: whole, one octet at a time, and cut around every
 * line end. `POSTERN_UPDATE=1` rewrites what the subject says; read the difference before you keep it.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { formatDiagnostic } from '../src/base/problem.ts'
import { formatTranscript } from '../src/transcript/format.ts'
import { parseTranscript } from '../src/transcript/parse.ts'
import { cuttings, formatFailure, play, WHOLE } from '../src/transcript/play.ts'
import type { Transcript } from '../src/transcript/transcript.ts'
import { SUBJECTS } from './subjects.ts'

const FOLDER: string = join(import.meta.dirname, 'transcripts')
const FILES: readonly string[] = globSync('*/*.smtp', { cwd: FOLDER }).toSorted()

/** Failing it says everything that is wrong, as a person reads it. */
function read(file: string): Transcript {
  const { transcript, problems } = parseTranscript(readFileSync(join(FOLDER, file), 'utf8'), file)
  assert.deepEqual(problems.map(formatDiagnostic), [])
  return transcript
}

function makeSubject(transcript: Transcript) {
  const make = SUBJECTS[transcript.headers.get('subject') ?? '']
  assert.ok(make, `no subject of this name (known: ${Object.keys(SUBJECTS).join(', ')})`)
  return make(transcript)
}

test('there are transcripts of every subject', () => {
  for (const subject of Object.keys(SUBJECTS)) assert.ok(FILES.some(file => file.startsWith(`${subject}/`)))
})

for (const file of FILES) {
  test(`transcript ${file} holds, however its bytes are cut`, () => {
    const transcript = read(file)
    assert.ok(transcript.prose.length > 0, 'the head says what this is and why')
    assert.equal(transcript.headers.get('subject'), file.split('/')[0], 'a transcript stands in its subject’s folder')
    if (process.env.POSTERN_UPDATE === '1') {
      writeFileSync(join(FOLDER, file), formatTranscript(play(transcript, makeSubject).rewritten))
      return
    }
    const cuts = transcript.headers.get('played') === 'whole' ? [WHOLE] : cuttings(transcript)
    for (const cut of cuts) {
      const { failures } = play(transcript, makeSubject, { cut })
      if (failures.length > 0) assert.fail(`\n${failures.map(formatFailure).join('\n')}`)
    }
  })
}
