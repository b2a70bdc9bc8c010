/**
 * kafkajs 2.2 asks for a timeout of −1 − now where no request was throttled (network/requestQueue). Node takes it as 1 ms
 * and warns of it; that one warning is left out, so that one of ours would be seen.
 */
const KAFKAJS = /^-1[0-9]{12} is a negative number/

const emitWarning = process.emitWarning.bind(process)

process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
  if (typeof warning === 'string' && KAFKAJS.test(warning)) return
  Reflect.apply(emitWarning, undefined, [warning, ...rest])
}
