Deno.serve({ port: Number(Deno.env.get('PORT')) }, async (req: Request) => {
  const url = new URL(req.url);
  await new Promise((done) => setTimeout(done, Number(url.searchParams.get('ms'))));
  return new Response(`hello from ${url.pathname} by ${Deno.pid}\n`);
});
