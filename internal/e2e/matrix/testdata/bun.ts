Bun.serve({
  port: Number(process.env.PORT),
  async fetch(req: Request): Promise<Response> {
    const url = new URL(req.url);
    await Bun.sleep(Number(url.searchParams.get('ms')));
    return new Response(`hello from ${url.pathname} by ${process.pid}\n`);
  },
});
