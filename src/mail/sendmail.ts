/** How the `sendmail` command is called: by programs, since 1983 and mostly without being asked why. */

export type Called =
  | { readonly mode: 'send' | 'session'; readonly options: SendOptions }
  /** `-bp`, `-q`, `newaliases`, and `--help`. */
  | { readonly mode: 'list' | 'flush' | 'aliases' | 'help'; readonly options: SendOptions }
  | { readonly wrong: string }

export interface SendOptions {
  /** The server's configuration (`-C`). */
  readonly file?: string
  /** Of the envelope, as it was written (`-f`, `-r`); empty for `<>`. */
  readonly from?: string
  readonly fullName?: string
  readonly fromHeader: boolean
  readonly dotsAreText: boolean
  readonly verbose: boolean
  /** RFC 3461: `-N`, `-R`, `-V`. */
  readonly notify?: string
  readonly ret?: 'FULL' | 'HDRS'
  readonly envid?: string
  readonly recipients: readonly string[]
}

/** Exit codes of sysexits.h. */
export const EX = {
  ok: 0,
  usage: 64,
  dataErr: 65,
  noUser: 67,
  unavailable: 69,
  software: 70,
  ioErr: 74,
  tempFail: 75,
  noPerm: 77,
  config: 78,
} as const

/** What `--help` says. */
export const USAGE = `\
usage: sendmail [-t] [-i] [-v] [-f SENDER] [-F NAME] [-C FILE] [--] [RECIPIENT…]

Hands in the message of standard input to the mail server of this machine; 0 means that it is on the server's disk,
or left for it where none runs.

  -t            to those whom its To, Cc and Bcc name, too
  -i            a line with nothing but a dot is text, and does not end it
  -v            say what became of each recipient
  -f SENDER     who it is from, for reports; <> for nobody
  -F NAME       the name in its From, where it has none
  -C FILE       the configuration of the mail server
  -N WHEN       ask for reports: never, or success, failure, delay with commas between them
  -R full|hdrs  how much of the message a report brings back
  -V ID         the id that a report tells

  -bs           speak SMTP on standard input
  -bp           list the queue, as mailq does
  -q            try now what waits in the queue
`

/** Options that take a value, in the same word or in the next one. */
const WITH_VALUE = new Set(['B', 'C', 'F', 'L', 'N', 'O', 'R', 'V', 'X', 'f', 'h', 'p', 'r'])
/** Options whose value, if any, stands in the same word. */
const ATTACHED = new Set(['A', 'M', 'd', 'e', 'o', 'q', 'b'])
/** Options that stand alone and may be joined: `-ti`. */
const ALONE = new Set(['G', 'I', 'U', 'i', 'm', 'n', 's', 't', 'v'])

const MODES: Readonly<Record<string, 'send' | 'session' | 'list' | 'aliases'>> = {
  m: 'send',
  s: 'session',
  p: 'list',
  i: 'aliases',
}

interface Reading {
  mode: 'send' | 'session' | 'list' | 'flush' | 'aliases'
  options: { -readonly [K in keyof SendOptions]: SendOptions[K] }
  wrong: string | undefined
}

/** Total: `name` is what it was called as (`sendmail`, `mailq`, `newaliases`). */
export function parseSendmail(name: string, args: readonly string[]): Called {
  const reading: Reading = {
    mode: name === 'mailq' ? 'list' : name === 'newaliases' ? 'aliases' : 'send',
    options: { fromHeader: false, dotsAreText: false, verbose: false, recipients: [] },
    wrong: undefined,
  }
  let i = 0
  for (; i < args.length; i++) {
    const word = args[i] ?? ''
    if (word === '--') {
      i++
      break
    }
    if (!word.startsWith('-') || word === '-') break
    // sendmail knows none of these, but whoever asks for help by this one means it.
    if (word === '--help') return { mode: 'help', options: reading.options }
    if (word.startsWith('--')) return { wrong: `there is no option ${word}` }
    i += takeWord(reading, word.slice(1), args[i + 1])
    if (reading.wrong !== undefined) return { wrong: reading.wrong }
  }
  reading.options.recipients = args.slice(i)
  return { mode: reading.mode, options: reading.options }
}

/** How many words more were taken. */
function takeWord(reading: Reading, word: string, next: string | undefined): 0 | 1 {
  for (let at = 0; at < word.length; at++) {
    const letter = word[at] ?? ''
    const rest = word.slice(at + 1)
    if (ALONE.has(letter)) {
      takeAlone(reading, letter)
      continue
    }
    if (ATTACHED.has(letter)) {
      takeAttached(reading, letter, rest)
      return 0
    }
    if (!WITH_VALUE.has(letter)) {
      reading.wrong = `there is no option -${letter}`
      return 0
    }
    if (rest === '' && next === undefined) {
      reading.wrong = `-${letter} wants a value`
      return 0
    }
    takeValue(reading, letter, rest === '' ? (next ?? '') : rest)
    return rest === '' ? 1 : 0
  }
  return 0
}

function takeAlone({ options }: Reading, letter: string): void {
  if (letter === 't') options.fromHeader = true
  if (letter === 'i') options.dotsAreText = true
  if (letter === 'v') options.verbose = true
}

function takeAttached(reading: Reading, letter: string, rest: string): void {
  // -oi is -i, and -oem and -odb and the like are about a daemon that we are not.
  if (letter === 'o' && rest === 'i') reading.options.dotsAreText = true
  if (letter === 'q') reading.mode = 'flush'
  if (letter !== 'b') return
  const mode = Object.hasOwn(MODES, rest) ? MODES[rest] : undefined
  if (mode) reading.mode = mode
  else reading.wrong = `-b${rest} is not done here`
}

function takeValue(reading: Reading, letter: string, value: string): void {
  const { options } = reading
  switch (letter) {
    case 'C':
      options.file = value
      return
    case 'f':
    case 'r':
      options.from = value.replace(/^<(.*)>$/, '$1')
      return
    case 'F':
      options.fullName = value
      return
    case 'O':
      if (/^IgnoreDots(?:=(?:true|t|1|yes))?$/i.test(value)) options.dotsAreText = true
      return
    case 'N': {
      const words = value.toUpperCase().split(/[\s,]+/)
      const isKnown = words.every(word => ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'].includes(word))
      if (isKnown && (words.length === 1 || !words.includes('NEVER'))) options.notify = words.join(',')
      else reading.wrong = `-N ${value}: expected never, or success, failure, delay with commas between them`
      return
    }
    case 'R': {
      const ret = value.toUpperCase()
      if (ret === 'FULL' || ret === 'HDRS') options.ret = ret
      else reading.wrong = `-R ${value}: expected full or hdrs`
      return
    }
    case 'V':
      options.envid = value
      return
    default:
  }
}
