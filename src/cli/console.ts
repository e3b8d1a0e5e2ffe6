import readline from 'node:readline'
import { PosternError } from '../base/problem.ts'
import { askControl } from '../io/control.ts'
import { complain, EXIT, print } from './print.ts'
import { type Running, typeThere } from './running.ts'

/** Lines typed before; the arrow keys bring them back. They are forgotten with the session, as they may hold passwords. */
const HISTORY = 200

/** An interactive console; of a file or a pipe every line is typed. Status 2 where a line was wrong. */
export async function converse(running: Running): Promise<number> {
  const { stdin, stdout } = process
  const isPerson = stdin.isTTY === true
  const lines = readline.createInterface({
    input: stdin,
    ...(isPerson && { output: stdout, historySize: HISTORY, prompt: `${running.node}# `, tabSize: 4 }),
    completer: (typed: string, done: (problem: null, found: [string[], string]) => void) => {
      const last = /\S*$/.exec(typed)?.[0] ?? ''
      askControl(running.folder, { ask: 'complete', node: running.node, line: typed }).then(
        ({ answer }) => done(null, [answer.map(word => `${word} `), last]),
        () => done(null, [[], last]),
      )
    },
  })
  if (isPerson) {
    helpAtQuestionMark(lines, running)
    giveUpLineAtCtrlC(lines)
  }
  let status: number = EXIT.ok
  let mode: string | undefined
  if (isPerson) lines.prompt()
  for await (const line of lines) {
    if (/^\s*(?:quit|logout)\s*$/i.test(line) || (mode === undefined && /^\s*exit\s*$/i.test(line))) break
    try {
      const said = await typeThere(running, line)
      const { answer, wrong } = said
      mode = said.mode
      lines.setPrompt(mode === undefined ? `${running.node}# ` : `${running.node}(${mode})# `)
      for (const each of answer) print(each)
      if (wrong && !isPerson) status = EXIT.misuse
    } catch (cause) {
      if (!(cause instanceof PosternError)) throw cause
      complain(`error: ${cause.message}`)
      lines.close()
      return EXIT.misuse
    }
    if (isPerson) lines.prompt()
  }
  lines.close()
  return status
}

/** The line is given up, and not the console: that is left by `exit`, or Ctrl-D. */
function giveUpLineAtCtrlC(lines: readline.Interface): void {
  lines.on('SIGINT', () => {
    lines.write(null, { ctrl: true, name: 'e' })
    print('^C')
    lines.write(null, { ctrl: true, name: 'u' })
    lines.prompt()
  })
}

/** As on a Cisco console `?` answers at once, and the line stays as it was. */
function helpAtQuestionMark(lines: readline.Interface, running: Running): void {
  process.stdin.on('keypress', (char: string | undefined) => {
    if (char !== '?' || lines.cursor !== lines.line.length) return
    // It is no part of the line, whatever is typed before the answer comes.
    lines.write(null, { name: 'backspace' })
    typeThere(running, `${lines.line}?`).then(
      ({ answer }) => {
        print()
        for (const each of answer) print(each)
        lines.prompt(true)
      },
      () => {},
    )
  })
}
