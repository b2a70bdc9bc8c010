/** A real port of which some calls do something else beside what they do. */

/** The same object with other members; its own keep their `this`. */
export function overridden<T extends object>(object: T, members: Partial<T>): T {
  return new Proxy(object, {
    get(target, name): unknown {
      const member: unknown = Reflect.get(Object.hasOwn(members, name) ? members : target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
