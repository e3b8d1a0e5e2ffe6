/** What a masked EHLO keyword may have been: a mask that keeps lengths leaves the length, and that is a good deal. */
import { upper } from '../base/bytes.ts'
import { EXTENSIONS } from '../smtp/extension.ts'

/** Keywords that servers offer today, the common ones first; those of `EXTENSIONS` follow. */
const COMMON: readonly string[] = [
  'STARTTLS',
  'CHUNKING',
  'SMTPUTF8',
  'PIPELINING',
  'ENHANCEDSTATUSCODES',
  '8BITMIME',
  'DSN',
  'SIZE',
  'AUTH',
  'HELP',
  'VRFY',
  'ETRN',
  'EXPN',
  'BINARYMIME',
  'DELIVERBY',
  'REQUIRETLS',
  'LIMITS',
  'XCLIENT',
  'XFORWARD',
  'X-EXPS',
  'X-LINK2STATE',
  'XEXCH50',
  'XRDST',
  'TURN',
  'ATRN',
  'MTRK',
  'CONPERM',
  'CONNEG',
  'BURL',
  'CHECKPOINT',
  'MT-PRIORITY',
  'RRVS',
  'FUTURERELEASE',
  'UTF8SMTP',
  'SAML',
  'SEND',
  'SOML',
  'ONEX',
  'VERB',
  'XADR',
  'XSTA',
  'XCIR',
  'XGEN',
  'XLOOP',
  'XSHADOW',
  'XSHADOWREQUEST',
  'XOORG',
  'XPROXY',
  'XFILTERED',
  'OK',
]

/** Whole lines that stand for a keyword with its arguments, because a mask covers both. */
const LINES: readonly string[] = [
  'X-EXPS GSSAPI NTLM LOGIN',
  'X-EXPS GSSAPI NTLM',
  'X-EXPS=LOGIN',
  'X-EXPS NTLM',
  'LIMITS RCPTMAX=1000',
]

const ALL: readonly string[] = [...new Set([...COMMON, ...EXTENSIONS.map(({ keyword }) => upper(keyword)), ...LINES])]

/** Every keyword of this length, the likeliest first. */
export function keywordsOf(length: number): readonly string[] {
  return ALL.filter(each => each.length === length)
}

/** `XXXXXXXA`: the mask of an ASA, whose last octet counts. Or X alone, as others may do it. */
export function isMasked(line: string): boolean {
  return /^X{2,}[A-Z]$/.test(line)
}

/** Do the last letters of these count from A, as an ASA's do? */
export function countsFromA(masked: readonly string[]): boolean {
  return masked.every((line, i) => line.charCodeAt(line.length - 1) === 0x41 + (i % 26))
}
