// Runs a bundle as the command runs its parts: with the code that V8 kept of an earlier run, if there is one; else it keeps it.
// BUNDLE, then the arguments of sendmail.
const fs = require('node:fs');
const vm = require('node:vm');
const [file] = process.argv.splice(2, 1);
const kept = `${file}.code`;
const cachedData = fs.existsSync(kept) ? fs.readFileSync(kept) : undefined;
const script = new vm.Script(fs.readFileSync(file, 'latin1'), { filename: file, cachedData });
if (cachedData === undefined) process.on('exit', () => fs.writeFileSync(kept, script.createCachedData()));
process.argv[1] = 'sendmail';
script.runInThisContext()(require, module, exports);
