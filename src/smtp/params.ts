/** ESMTP parameters of MAIL and RCPT, in the order they came (RFC 5321 §4.1.2). A keyword is upper case. */
export type Params = readonly Param[]

export interface Param {
  readonly keyword: string
  readonly value?: string
}

export function param(params: Params, keyword: string): Param | undefined {
  return params.find(each => each.keyword === keyword)
}

/** The parameters after a path, or what is wrong with them. */
export function parseParams(text: string): Params | { readonly wrong: string } {
  const params: Param[] = []
  for (const word of text.split(' ')) {
    if (word === '') continue
    const found = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?$/.exec(word)
    const keyword = found?.[1]?.toUpperCase()
    if (keyword === undefined) return { wrong: `not a parameter: ${word.slice(0, 64)}` }
    if (param(params, keyword)) return { wrong: `${keyword} is given twice` }
    params.push(found?.[2] === undefined ? { keyword } : { keyword, value: found[2] })
  }
  return params
}

export function formatParams(params: Params): string {
  if (params.length === 0) return ''
  return params.map(({ keyword, value }) => ` ${keyword}${value === undefined ? '' : `=${value}`}`).join('')
}

/** xtext (RFC 3461 §4): every octet outside `!`…`~`, and `+` and `=`, becomes `+XX`. */
export function toXtext(text: string): string {
  return text.replace(/[^!-~]|[+=]/g, c => `+${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}

/** The text behind xtext, or `undefined` where it is not xtext. */
export function fromXtext(xtext: string): string | undefined {
  if (!/^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/.test(xtext)) return undefined
  return xtext.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}
