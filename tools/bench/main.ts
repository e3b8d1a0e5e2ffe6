import { parseArgs } from 'node:util'
import * as diagnosis from './diagnosis.ts'
import * as firewall from './firewall.ts'
import { type Bench, print, ratios, rows } from './harness.ts'
import * as mta from './mta.ts'
import * as queue from './queue.ts'
import * as routing from './routing.ts'
import * as sessions from './sessions.ts'

/** Every bench: a file here, and a line here. */
const BENCHES: Readonly<Record<string, Bench>> = { firewall, mta, queue, routing, sessions, diagnosis }

const USAGE = `usage: npm run bench -- NAME [--quick] [--json] [--subjects A,B] [--cases A,B]

${Object.entries(BENCHES)
  .map(([name, { description }]) => `  ${name.padEnd(10)} ${description}`)
  .join('\n')}

  --quick       few and small runs: whether it works and about how much, not a figure to quote
  --json        the last line is one object: bench, rows, ratios
  --subjects    only these, compared with the first of them
  --cases       only these`

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      subjects: { type: 'string' },
      cases: { type: 'string' },
    },
  })
  const [name, ...more] = positionals
  if (name === undefined || values.help) {
    console.log(USAGE)
    return 0
  }
  const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined
  if (!bench) return wrong(`no bench is called "${name}" (known: ${Object.keys(BENCHES).join(', ')})`)
  if (more.length > 0) return wrong(`one bench at a time; what is "${more.join(' ')}"?`)
  const subjects = choose(values.subjects, bench.subjects)
  if (typeof subjects === 'string')
    return wrong(`no subject of ${name} is called "${subjects}" (known: ${bench.subjects.join(', ')})`)
  const cases = choose(values.cases, bench.cases)
  if (typeof cases === 'string')
    return wrong(`no case of ${name} is called "${cases}" (known: ${bench.cases.join(', ')})`)

  const report = await bench.run({
    quick: values.quick,
    subjects,
    cases,
    note: line => console.error(`bench: ${line}`),
  })
  console.log(print(report))
  if (values.json) console.log(JSON.stringify({ bench: name, rows: rows(report), ratios: ratios(report) }))
  return 0
}

/** Those that were asked for, or the first that is not known. */
function choose(asked: string | undefined, known: readonly string[]): readonly string[] | string {
  if (asked === undefined) return known
  const names = asked.split(',')
  return names.find(name => !known.includes(name)) ?? known.filter(name => names.includes(name))
}

function wrong(message: string): number {
  console.error(`bench: ${message}`)
  return 2
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const usage = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')
  const message = error instanceof Error ? (error instanceof TypeError && !usage ? error.stack : error.message) : error
  console.error(`bench: ${message}`)
  process.exitCode = usage ? 2 : 1
}
// Leaving now ends whatever still runs.
process.exit()
